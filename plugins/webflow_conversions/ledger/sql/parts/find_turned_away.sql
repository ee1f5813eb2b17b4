-- Rejected, expired or withdrawn conversions, the last settled first; the place is settled_at in microseconds.
SELECT id, (extract(epoch FROM settled_at) * 1000000)::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
WHERE state = %(state)s AND state IN ('rejected', 'expired', 'withdrawn')
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR (settled_at, id) < ('epoch'::timestamptz + %(place)s * interval '1 microsecond', %(id)s))
ORDER BY settled_at DESC, id DESC
LIMIT %(rows)s
