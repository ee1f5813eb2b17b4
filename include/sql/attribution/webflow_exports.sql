-- The visits of site users, from Webflow's Data Exports (PostgreSQL, Redshift, DuckDB): one row for each session and user. The
-- exports carry Webflow's own sessions. user_id must be the ID that the site gives to wf.setUserId(): compare one before use.
-- Set user_domain to the first argument of wf.setUserId(). Without Optimize or without Analyze, leave its tables out.
-- A session belongs to each user whom one of its rows names; its times are those of all its rows.
WITH visit_user AS (
    SELECT session_id, user_id
    FROM optimize_variation_viewed
    WHERE user_id IN :user_ids
        AND event_time >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
    UNION
    SELECT session_id, user_id
    FROM analyze_page_viewed
    WHERE user_id IN :user_ids
        AND event_time >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
    UNION
    SELECT session_id, user_id
    FROM analyze_element_clicked
    WHERE user_id IN :user_ids
        AND event_time >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
),

activity AS (
    SELECT session_id, event_time, event_time AS viewed_at
    FROM optimize_variation_viewed
    WHERE session_id IN (SELECT session_id FROM visit_user)
        AND event_time >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
    UNION ALL
    SELECT session_id, event_time, NULL
    FROM analyze_page_viewed
    WHERE session_id IN (SELECT session_id FROM visit_user)
        AND event_time >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
    UNION ALL
    SELECT session_id, event_time, NULL
    FROM analyze_element_clicked
    WHERE session_id IN (SELECT session_id FROM visit_user)
        AND event_time >= CAST(:since AS timestamptz) AT TIME ZONE 'UTC'
        AND event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
),

visit AS (
    SELECT session_id, MIN(event_time) AS started_at, MAX(event_time) AS last_active_at, MIN(viewed_at) AS first_viewed_at
    FROM activity
    GROUP BY session_id
)

SELECT
    'salesforce' AS user_domain,
    visit_user.user_id,
    visit.session_id,
    visit.started_at,
    visit.last_active_at,
    visit.first_viewed_at
FROM visit
INNER JOIN visit_user ON visit_user.session_id = visit.session_id
