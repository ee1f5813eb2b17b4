-- What could go out now, by destination and source; which of it will be too old at the next run. All of it is in the index.
SELECT
    destination,
    source,
    count(*) AS rows,
    coalesce(sum(value), 0) AS value,
    count(*) FILTER (WHERE action_timestamp_ms < %(oldest_then_ms)s) AS expiring_rows,
    coalesce(sum(value) FILTER (WHERE action_timestamp_ms < %(oldest_then_ms)s), 0) AS expiring_value
FROM webflow.conversions
WHERE state = 'ready'
  AND destination = ANY (ARRAY(SELECT destination FROM webflow.destinations))
  AND action_timestamp_ms >= %(oldest_ms)s
GROUP BY destination, source
