-- The visits of site users, from Snowplow's events (PostgreSQL, Redshift). The site tracks an event named experiment_viewed from
-- wf.onVariationRecorded(), and calls setUserId of the tracker with the user ID that it gives to wf.setUserId(). Set user_domain
-- to the first argument of wf.setUserId(). Page pings are left out: Webflow does not say whether they are activity. The tables
-- snowplow_unified_sessions of the dbt package do not end a session after 24 hours. A visitor who is active for more than 48
-- hours without a pause of 30 minutes may have visits that begin a little early.
WITH browser AS (
    SELECT domain_userid, user_id, MIN(derived_tstamp) AS identified_at
    FROM atomic.events
    WHERE user_id IN :user_ids
    GROUP BY domain_userid, user_id
),

activity AS (
    SELECT
        domain_userid,
        derived_tstamp AS active_at,
        CASE WHEN event_name = 'experiment_viewed' THEN derived_tstamp END AS viewed_at
    FROM atomic.events
    WHERE domain_userid IN (SELECT domain_userid FROM browser)
        AND derived_tstamp >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND derived_tstamp < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
        AND event_name <> 'page_ping'
),

known_activity AS (
    SELECT
        domain_userid,
        active_at,
        viewed_at,
        LAG(active_at) OVER (PARTITION BY domain_userid ORDER BY active_at) AS active_before
    FROM activity
),

-- A pause of 30 minutes ends a visit.
without_pause AS (
    SELECT
        domain_userid,
        active_at,
        viewed_at,
        SUM(CASE WHEN active_at < active_before + INTERVAL '30 minutes' THEN 0 ELSE 1 END)
            OVER (PARTITION BY domain_userid ORDER BY active_at ROWS UNBOUNDED PRECEDING) AS visit_number
    FROM known_activity
),

-- 24 hours end it, too.
within_a_day AS (
    SELECT
        domain_userid,
        active_at,
        viewed_at,
        visit_number,
        FLOOR(
            EXTRACT(EPOCH FROM active_at - MIN(active_at) OVER (PARTITION BY domain_userid, visit_number)) / 86400
        ) AS day_number
    FROM without_pause
),

visit AS (
    SELECT domain_userid, MIN(active_at) AS started_at, MAX(active_at) AS last_active_at, MIN(viewed_at) AS first_viewed_at
    FROM within_a_day
    GROUP BY domain_userid, visit_number, day_number
)

SELECT
    'salesforce' AS user_domain,
    browser.user_id,
    visit.domain_userid || ' ' || CAST(visit.started_at AS text) AS session_id,
    visit.started_at,
    visit.last_active_at,
    visit.first_viewed_at,
    browser.identified_at
FROM visit
INNER JOIN browser ON browser.domain_userid = visit.domain_userid
