-- What waits in the scope of a dry run and was not read again by it.
SELECT c.id, c.value
FROM webflow.conversions c
WHERE c.state = 'ready' AND {in_scope} AND NOT EXISTS (SELECT FROM pg_temp.seen t WHERE t.action_id = c.action_id)
UNION ALL
SELECT c.id, c.value
FROM webflow.conversions c
WHERE c.state IN ('held', 'future') AND {in_scope} AND NOT EXISTS (SELECT FROM pg_temp.seen t WHERE t.action_id = c.action_id)
