-- Expires conversions of every window that grew older than 2 days while they waited.
UPDATE webflow.conversions
SET state = 'expired',
    reason = CASE
        WHEN attempts_in_doubt > 0 THEN 'expired_in_doubt'
        WHEN state = 'held' AND reason = 'unknown_user' THEN 'expired_unidentified'
        WHEN webflow.was_rehearsed(run_id, source, action_timestamp_ms, %(now)s - to_timestamp(%(oldest_ms)s / 1000.0))
            THEN 'expired_in_rehearsal'
        ELSE 'expired_unsent'
    END,
    settled_at = %(now)s,
    run_id = %(run_id)s
WHERE id = ANY (
    ARRAY(
        SELECT id FROM webflow.conversions
        WHERE state IN ('held', 'future') AND action_timestamp_ms < %(oldest_ms)s
        LIMIT %(rows)s
        FOR UPDATE SKIP LOCKED
    ) || ARRAY(
        SELECT id FROM webflow.conversions
        WHERE state = 'ready' AND destination = ANY (ARRAY(SELECT destination FROM webflow.destinations))
          AND action_timestamp_ms < %(oldest_ms)s
        LIMIT %(rows)s
        FOR UPDATE SKIP LOCKED
    )
)
