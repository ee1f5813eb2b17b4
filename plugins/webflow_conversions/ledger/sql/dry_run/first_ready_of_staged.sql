SELECT c.id, c.event_name, c.user_domain, c.user_id, c.action_id, c.action_timestamp_ms, c.value, c.failures
FROM pg_temp.staged s
JOIN webflow.conversions c ON c.action_id = s.action_id
JOIN webflow.extracted e ON e.extraction = %(extraction)s AND e.conversion = c.id AND e.beside IS NULL
WHERE c.state = 'ready'
ORDER BY c.action_timestamp_ms, c.id
LIMIT %(rows)s
