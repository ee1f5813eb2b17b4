-- The visits of site users, from the export of Google Analytics 4 to BigQuery. Written by the documentation, not run in this
-- project's tests, which have no BigQuery: compare the visits of a few users before use. The site sends experience_impression
-- from wf.onVariationRecorded(), and sets user_id to the user ID that it gives to wf.setUserId(). Set user_domain to the first
-- argument of wf.setUserId(), and the name of the dataset. event_timestamp is in microseconds. A daily table is named after the
-- day in the property's time zone, so a day more is read on each side.
WITH activity AS (
    SELECT
        user_pseudo_id,
        user_id,
        TIMESTAMP_MICROS(event_timestamp) AS active_at,
        IF(event_name = 'experience_impression', TIMESTAMP_MICROS(event_timestamp), NULL) AS viewed_at
    FROM `analytics_123456789.events_*`
    WHERE _TABLE_SUFFIX BETWEEN FORMAT_TIMESTAMP('%Y%m%d', TIMESTAMP_SUB(:since, INTERVAL 1 DAY))
            AND FORMAT_TIMESTAMP('%Y%m%d', TIMESTAMP_ADD(:until, INTERVAL 1 DAY))
        AND event_timestamp >= UNIX_MICROS(:since)
        AND event_timestamp < UNIX_MICROS(:until)
),

browser AS (
    SELECT user_pseudo_id, user_id, MIN(active_at) AS identified_at
    FROM activity
    WHERE user_id IN :user_ids
    GROUP BY user_pseudo_id, user_id
),

known_activity AS (
    SELECT
        user_pseudo_id,
        active_at,
        viewed_at,
        LAG(active_at) OVER (PARTITION BY user_pseudo_id ORDER BY active_at) AS active_before
    FROM activity
    WHERE user_pseudo_id IN (SELECT user_pseudo_id FROM browser)
),

-- A pause of 30 minutes ends a visit.
without_pause AS (
    SELECT
        user_pseudo_id,
        active_at,
        viewed_at,
        COUNTIF(active_before IS NULL OR active_at >= TIMESTAMP_ADD(active_before, INTERVAL 30 MINUTE))
            OVER (PARTITION BY user_pseudo_id ORDER BY active_at ROWS UNBOUNDED PRECEDING) AS visit_number
    FROM known_activity
),

-- 24 hours end it, too.
within_a_day AS (
    SELECT
        user_pseudo_id,
        active_at,
        viewed_at,
        visit_number,
        DIV(
            TIMESTAMP_DIFF(active_at, MIN(active_at) OVER (PARTITION BY user_pseudo_id, visit_number), MICROSECOND), 86400000000
        ) AS day_number
    FROM without_pause
),

visit AS (
    SELECT user_pseudo_id, MIN(active_at) AS started_at, MAX(active_at) AS last_active_at, MIN(viewed_at) AS first_viewed_at
    FROM within_a_day
    GROUP BY user_pseudo_id, visit_number, day_number
)

SELECT
    'salesforce' AS user_domain,
    browser.user_id,
    CONCAT(visit.user_pseudo_id, ' ', CAST(UNIX_MILLIS(visit.started_at) AS STRING)) AS session_id,
    visit.started_at,
    visit.last_active_at,
    visit.first_viewed_at,
    browser.identified_at
FROM visit
INNER JOIN browser ON browser.user_pseudo_id = visit.user_pseudo_id
