-- The conversion of this number.
SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
WHERE id = %(number)s
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
LIMIT %(rows)s
