-- What could go out now, and has a request without an answer behind it.
SELECT source, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE attempts_in_doubt > 0 AND state = 'ready' AND action_timestamp_ms >= %(oldest_ms)s
GROUP BY source
