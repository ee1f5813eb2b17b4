-- SQLite. What would be sent, page by page: after the last one of the page before.
SELECT id, state, event_name, action_timestamp_ms, identity_key, user_domain, user_id, attempts_in_doubt, attribution
FROM conversions
WHERE state = 'ready' AND id > :after
ORDER BY id
LIMIT :rows
