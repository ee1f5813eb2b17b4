-- Decides about rows that are sending and not awaited. Rows that a dead push had claimed go out again when its lease is
-- over, since until then a request of it may be out. Rows that wait for a person follow once the policy says resend. Rows
-- that are too old expire. Only a push that is recorded as ended counts as dead here (reap.sql comes before): one whose
-- lease seems over may be renewing it at this moment.
WITH doubtful AS (
    SELECT c.id, c.push_id IS NOT NULL AS is_new
    FROM webflow.conversions c
    LEFT JOIN webflow.pushes p ON p.id = c.push_id
    WHERE {is_unawaited}
      AND c.destination = %(destination)s
      AND (
          c.push_id IS NULL AND (%(resend)s OR c.action_timestamp_ms < %(oldest_ms)s)
          OR c.push_id IS NOT NULL AND (p.id IS NULL OR p.ended_at IS NOT NULL)
      )
    FOR UPDATE OF c SKIP LOCKED
), recovered AS (
    UPDATE webflow.conversions c
    SET state = CASE
            WHEN c.action_timestamp_ms < %(oldest_ms)s THEN 'expired'
            WHEN %(resend)s THEN 'ready'
            ELSE 'sending'
        END,
        reason = CASE
            WHEN c.action_timestamp_ms < %(oldest_ms)s THEN 'expired_in_doubt'
            WHEN NOT %(resend)s THEN 'in_doubt'
        END,
        attempts = c.attempts + d.is_new::integer,
        http_status = CASE WHEN NOT d.is_new THEN c.http_status END,
        trouble = CASE WHEN d.is_new THEN 'the worker died with the row claimed' ELSE c.trouble END,
        attempts_in_doubt = c.attempts_in_doubt + d.is_new::integer,
        retry_at = {free_at},
        settled_at = CASE WHEN c.action_timestamp_ms < %(oldest_ms)s THEN clock_timestamp() END,
        run_id = CASE WHEN c.action_timestamp_ms < %(oldest_ms)s THEN %(run_id)s ELSE c.run_id END,
        push_id = NULL
    FROM doubtful d
    WHERE c.id = d.id
    RETURNING c.id, d.is_new
), noted AS (
    INSERT INTO webflow.history (conversion, what, detail, run_id)
    SELECT id, 'in_doubt', 'the worker died with the row claimed', %(run_id)s FROM recovered WHERE is_new
)
SELECT count(*) FILTER (WHERE is_new) FROM recovered
