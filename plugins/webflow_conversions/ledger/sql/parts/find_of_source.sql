-- The conversions of a source of a destination, the newest first. A small source is read by the order of its action
-- IDs, a large one in the order of the numbers.
SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
WHERE action_id >= %(prefix)s AND action_id < %(prefix)s || chr(1114111)
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
