-- What has a request without an answer behind it: what waits for a action, and what is to be sent again. The newest
-- first.
WITH doubted AS (
    SELECT id FROM webflow.conversions WHERE attempts_in_doubt > 0 AND state = 'ready'
    UNION ALL
    SELECT s.id
    FROM webflow.conversions s
    WHERE s.state = 'sending'
      AND NOT EXISTS (SELECT FROM webflow.pushes p WHERE p.id = s.push_id AND p.expires_at > clock_timestamp())
)
SELECT id, 0::bigint AS place
FROM webflow.conversions c
JOIN doubted USING (id)
WHERE {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
