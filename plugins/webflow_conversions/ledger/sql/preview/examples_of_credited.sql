-- SQLite. The first conversions to send of each verdict and its reason.
WITH placed AS (
    SELECT *, row_number() OVER (PARTITION BY attribution, attribution_reason ORDER BY action_timestamp_ms, id) AS place
    FROM conversions
    WHERE state = 'ready'
)
SELECT attribution, attribution_reason AS reason, conversion_id, event_name, action_timestamp_ms, value, detail
FROM placed
WHERE place <= :examples
ORDER BY place
