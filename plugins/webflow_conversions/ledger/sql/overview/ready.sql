-- What could go out now, by destination, source and last trouble; which of it will be too old at the next run.
SELECT
    destination,
    source,
    trouble,
    count(*) AS rows,
    coalesce(sum(value), 0) AS value,
    count(*) FILTER (WHERE action_timestamp_ms < %(oldest_then_ms)s) AS expiring_rows,
    coalesce(sum(value) FILTER (WHERE action_timestamp_ms < %(oldest_then_ms)s), 0) AS expiring_value
FROM webflow.conversions
WHERE state = 'ready'
  AND destination = ANY (ARRAY(SELECT destination FROM webflow.destinations))
  AND action_timestamp_ms >= %(oldest_ms)s
GROUP BY destination, source, trouble
