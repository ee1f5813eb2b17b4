-- The moment up to which RudderStack's tables are loaded, and the one from which on: of both tables, the earlier and the later
-- one. An empty table tells nothing. Events of the last 5 minutes may still be on their way.
SELECT
    CASE WHEN COUNT(loaded.last_event) = 2 THEN MIN(loaded.last_event) - INTERVAL '5 minutes' END AS complete_until,
    CASE WHEN COUNT(loaded.first_event) = 2 THEN MAX(loaded.first_event) END AS complete_from
FROM (
    SELECT MAX(received_at) AS last_event, MIN(received_at) AS first_event
    FROM pages
    WHERE received_at < :until
    UNION ALL
    SELECT MAX(received_at), MIN(received_at)
    FROM tracks
    WHERE received_at < :until
) loaded
