-- The next rejected, expired or withdrawn conversions that were settled before a moment, in that order; the place is
-- settled_at in microseconds.
SELECT c.id, (extract(epoch FROM c.settled_at) * 1000000)::bigint AS place
FROM webflow.conversions c
WHERE c.state = %(state)s AND c.state IN ('rejected', 'expired', 'withdrawn')
  AND (c.settled_at, c.id) > ('epoch'::timestamptz + %(place)s * interval '1 microsecond', %(id)s)
  AND c.settled_at < %(before)s
ORDER BY c.settled_at, c.id
LIMIT %(rows)s
