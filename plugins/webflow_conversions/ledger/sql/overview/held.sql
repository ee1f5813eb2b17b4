-- Conversions that wait for their user, by the full hours left until they expire; below zero they are too old already. All
-- of it is in the index.
SELECT
    source,
    floor((action_timestamp_ms - %(oldest_ms)s)::float8 / 3600000)::integer AS hours_left,
    count(*) AS rows,
    coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE state = 'held'
GROUP BY 1, 2
