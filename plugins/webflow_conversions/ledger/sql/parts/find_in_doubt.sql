-- Conversions in doubt, the newest first. Both small sets are read by their indexes; find_filters decides.
WITH candidate AS (
    SELECT c.id FROM webflow.conversions c WHERE {is_ready_in_doubt}
    UNION ALL
    SELECT c.id FROM webflow.conversions c WHERE c.state = 'sending'
)
SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
JOIN candidate USING (id)
WHERE {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
