-- SQLite. The first events to be sent, in the order of the push.
SELECT event_name, user_domain, user_id, action_id, action_timestamp_ms, value
FROM conversions
WHERE state = 'ready'
ORDER BY action_timestamp_ms, is_unseen, id
LIMIT :events
