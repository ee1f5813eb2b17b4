-- How many conversions a filter finds, their value, and the first and the last moment.
SELECT count(*) AS conversions, sum(value) AS value, min(action_timestamp_ms) AS first_ms, max(action_timestamp_ms) AS last_ms
FROM {found} found
