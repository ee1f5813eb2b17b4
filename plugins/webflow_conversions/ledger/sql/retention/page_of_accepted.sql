-- The next accepted conversions of pushes that ended before a moment, in the order of the pushes.
SELECT c.id, c.push_id AS place
FROM webflow.conversions c
WHERE c.state = 'accepted'
  AND (c.push_id, c.id) > (%(place)s, %(id)s)
  AND c.push_id < coalesce(
      (SELECT min(p.id) FROM webflow.pushes p WHERE coalesce(p.ended_at, p.expires_at) >= %(before)s), 9223372036854775807
  )
ORDER BY c.push_id, c.id
LIMIT %(rows)s
