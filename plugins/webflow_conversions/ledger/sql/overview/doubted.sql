-- Conversions that can go out now, although an earlier request of them has no answer.
SELECT c.source, count(*) AS rows, coalesce(sum(c.value), 0) AS value
FROM webflow.conversions c
WHERE {is_ready_in_doubt} AND c.action_timestamp_ms >= %(oldest_ms)s
GROUP BY c.source
