-- What could go out now, by destination and source, and which of it is in doubt.
SELECT
    destination,
    source,
    count(*) AS rows,
    coalesce(sum(value), 0) AS value,
    count(*) FILTER (WHERE attempts_in_doubt > 0) AS doubted_rows,
    coalesce(sum(value) FILTER (WHERE attempts_in_doubt > 0), 0) AS doubted_value
FROM webflow.conversions
WHERE state = 'ready'
  AND destination = ANY (ARRAY(SELECT destination FROM webflow.destinations))
  AND action_timestamp_ms >= %(oldest_ms)s
GROUP BY destination, source
