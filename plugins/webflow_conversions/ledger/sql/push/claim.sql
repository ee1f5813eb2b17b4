-- What expires first goes out first. FOR UPDATE SKIP LOCKED lets any number of workers share the queue; a push
-- that was declared dead gets nothing. As a plain join, a large claim would be matched with the whole primary key.
WITH due AS (
    SELECT id FROM webflow.conversions c
    WHERE state = 'ready'
      AND {in_scope}
      AND (retry_at IS NULL OR retry_at <= clock_timestamp())
      AND failures < %(max_failures)s
      AND EXISTS (
          SELECT FROM webflow.pushes WHERE id = %(push)s AND ended_at IS NULL AND expires_at > clock_timestamp()
      )
    ORDER BY action_timestamp_ms, id
    LIMIT %(rows)s
    FOR UPDATE SKIP LOCKED
)
UPDATE webflow.conversions c
SET state = 'sending',
    push_id = %(push)s,
    run_id = %(run_id)s
WHERE c.id = ANY (ARRAY(SELECT id FROM due))
RETURNING c.id, c.event_name, c.user_domain, c.user_id, c.action_id, c.action_timestamp_ms, c.value, c.attempts, c.failures
