-- Claims conversions for a push. FOR UPDATE SKIP LOCKED lets any number of workers share the queue. The array keeps the
-- planner from a join with the whole primary key.
WITH due AS {due}
UPDATE webflow.conversions c
SET state = 'sending',
    push_id = %(push)s,
    run_id = %(run_id)s
WHERE c.id = ANY (ARRAY(SELECT id FROM due))
RETURNING c.id, c.event_name, c.user_domain, c.user_id, c.action_id, c.action_timestamp_ms, c.value, c.attempts, c.failures
