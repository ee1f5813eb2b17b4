-- Conversions that wait for their user or for their time, in the order of expiry.
SELECT id, action_timestamp_ms AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
WHERE state = %(state)s AND state IN ('held', 'future')
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR (action_timestamp_ms, id) > (%(place)s, %(id)s))
ORDER BY action_timestamp_ms, id
LIMIT %(rows)s
