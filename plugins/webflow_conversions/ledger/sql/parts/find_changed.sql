-- Conversions whose source row changed after they were sent, the newest first.
SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
WHERE changed_after_sent_at IS NOT NULL
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
