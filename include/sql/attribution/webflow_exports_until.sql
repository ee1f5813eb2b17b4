-- The moment up to which Webflow's Data Exports are loaded, and the one from which on: of both tables, the earlier and the later
-- one. A table that is empty tells nothing, and a browser's clock that is ahead does not count.
SELECT
    CASE WHEN COUNT(loaded.last_event) = 2 THEN MIN(loaded.last_event) END AS complete_until,
    CASE WHEN COUNT(loaded.first_event) = 2 THEN MAX(loaded.first_event) END AS complete_from
FROM (
    SELECT MAX(event_time) AS last_event, MIN(event_time) AS first_event
    FROM optimize_variation_viewed
    WHERE event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
    UNION ALL
    SELECT MAX(event_time), MIN(event_time)
    FROM analyze_page_viewed
    WHERE event_time < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
) loaded
