-- What was rejected or expired, what was decided last first; its place is that moment in microseconds.
SELECT id, (extract(epoch FROM settled_at) * 1000000)::bigint AS place
FROM webflow.conversions c
WHERE state = %(state)s AND state IN ('rejected', 'expired')
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR (settled_at, id) < ('epoch'::timestamptz + %(place)s * interval '1 microsecond', %(id)s))
ORDER BY settled_at DESC, id DESC
LIMIT %(rows)s
