-- The visits of site users, from RudderStack's tables pages, tracks and identifies (PostgreSQL, Redshift). The site sends
-- "Experiment Viewed" from wf.onVariationRecorded(), and calls rudderanalytics.identify() with the user ID that it gives to
-- wf.setUserId(). Set user_domain to the first argument of wf.setUserId(), and put the source's schema before the tables' names.
-- A visitor who is active for more than 48 hours without a pause of 30 minutes may have visits that begin a little early.
WITH browser AS (
    SELECT anonymous_id, user_id, MIN("timestamp") AS identified_at
    FROM identifies
    WHERE user_id IN :user_ids
    GROUP BY anonymous_id, user_id
),

activity AS (
    SELECT anonymous_id, "timestamp" AS active_at, CAST(NULL AS timestamptz) AS viewed_at
    FROM pages
    WHERE anonymous_id IN (SELECT anonymous_id FROM browser)
        AND "timestamp" >= :since AND "timestamp" < :until
    UNION ALL
    SELECT anonymous_id, "timestamp", CASE WHEN event = 'experiment_viewed' THEN "timestamp" END
    FROM tracks
    WHERE anonymous_id IN (SELECT anonymous_id FROM browser)
        AND "timestamp" >= :since AND "timestamp" < :until
),

known_activity AS (
    SELECT
        anonymous_id,
        active_at,
        viewed_at,
        LAG(active_at) OVER (PARTITION BY anonymous_id ORDER BY active_at) AS active_before
    FROM activity
),

-- A pause of 30 minutes ends a visit.
without_pause AS (
    SELECT
        anonymous_id,
        active_at,
        viewed_at,
        SUM(CASE WHEN active_at < active_before + INTERVAL '30 minutes' THEN 0 ELSE 1 END)
            OVER (PARTITION BY anonymous_id ORDER BY active_at ROWS UNBOUNDED PRECEDING) AS visit_number
    FROM known_activity
),

-- 24 hours end it, too.
within_a_day AS (
    SELECT
        anonymous_id,
        active_at,
        viewed_at,
        visit_number,
        FLOOR(
            EXTRACT(EPOCH FROM active_at - MIN(active_at) OVER (PARTITION BY anonymous_id, visit_number)) / 86400
        ) AS day_number
    FROM without_pause
),

visit AS (
    SELECT anonymous_id, MIN(active_at) AS started_at, MAX(active_at) AS last_active_at, MIN(viewed_at) AS first_viewed_at
    FROM within_a_day
    GROUP BY anonymous_id, visit_number, day_number
)

SELECT
    'salesforce' AS user_domain,
    browser.user_id,
    visit.anonymous_id || ' ' || CAST(visit.started_at AS text) AS session_id,
    visit.started_at,
    visit.last_active_at,
    visit.first_viewed_at,
    browser.identified_at
FROM visit
INNER JOIN browser ON browser.anonymous_id = visit.anonymous_id
