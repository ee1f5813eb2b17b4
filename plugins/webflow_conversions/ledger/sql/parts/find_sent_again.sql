-- Conversions that were sent more than once, and may have been received more than once; the newest first.
SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
WHERE attempts_in_doubt > 0 AND attempts > 1
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
