-- SQLite. The first conversions of each state and reason, those with different details before others.
WITH numbered AS (
    SELECT *, row_number() OVER (PARTITION BY state, reason, detail ORDER BY said_action_timestamp_ms, id) AS nth FROM conversions
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY state, reason ORDER BY nth, said_action_timestamp_ms, id) AS place
    FROM numbered
    WHERE nth <= :examples
)
SELECT state, reason, conversion_id, event_name, said_action_timestamp_ms AS action_timestamp_ms, said_value AS value, detail
FROM placed
WHERE place <= :examples
ORDER BY place
