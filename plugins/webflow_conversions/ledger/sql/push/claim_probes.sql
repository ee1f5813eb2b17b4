-- So many rows of each source, of those that expire last: they are as unlike as can be to what claim.sql takes.
WITH due AS (
    SELECT of_source.id
    FROM unnest(%(sources)s::text[]) AS wanted (source)
    CROSS JOIN LATERAL (
        SELECT c.id FROM webflow.conversions c
        WHERE c.state = 'ready'
          AND {in_scope}
          AND c.source = wanted.source
          AND (c.retry_at IS NULL OR c.retry_at <= clock_timestamp())
          AND c.failures < %(max_failures)s
          AND EXISTS (
              SELECT FROM webflow.pushes WHERE id = %(push)s AND ended_at IS NULL AND expires_at > clock_timestamp()
          )
        ORDER BY c.action_timestamp_ms DESC, c.id DESC
        LIMIT %(rows)s
        FOR UPDATE SKIP LOCKED
    ) of_source
)
UPDATE webflow.conversions c
SET state = 'sending',
    push_id = %(push)s,
    run_id = %(run_id)s
WHERE c.id = ANY (ARRAY(SELECT id FROM due))
RETURNING c.id, c.event_name, c.user_domain, c.user_id, c.action_id, c.action_timestamp_ms, c.value, c.attempts, c.failures
