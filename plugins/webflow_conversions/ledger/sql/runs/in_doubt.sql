-- What went out and has no known outcome, nor anybody who waits for it.
SELECT c.source, count(*) AS rows, coalesce(sum(c.value), 0) AS value
FROM webflow.conversions c
WHERE c.state = 'sending'
  AND {in_scope}
  AND NOT EXISTS (
      SELECT FROM webflow.pushes p WHERE p.id = c.push_id AND p.ended_at IS NULL AND p.expires_at > clock_timestamp()
  )
GROUP BY c.source
