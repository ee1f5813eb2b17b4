-- What could go out now and was tried before, by source and last trouble.
SELECT source, trouble, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE state = 'ready'
  AND trouble IS NOT NULL
  AND destination = ANY (ARRAY(SELECT destination FROM webflow.destinations))
  AND action_timestamp_ms >= %(oldest_ms)s
GROUP BY source, trouble
