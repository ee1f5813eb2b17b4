-- The effect of *Send again* on a conversion (c). Accepted and awaited conversions never go out again, nor does one whose
-- person was forgotten; a conversion that its source row or the configuration forbids stays rejected. A withdrawn one
-- waits again: held without a user, later while it is dated after now.
CASE
    WHEN c.state = 'accepted' THEN 'accepted'
    WHEN c.forgotten_at IS NOT NULL OR c.reason = 'forgotten' THEN 'forgotten'
    WHEN c.state = 'sending' AND {is_awaited} THEN 'awaited'
    WHEN c.state = 'expired' OR c.action_timestamp_ms < %(oldest_ms)s THEN 'too_old'
    WHEN c.state IN ('ready', 'future') THEN 'waits'
    WHEN c.state = 'held' THEN 'held'
    WHEN c.state = 'sending' THEN 'changed'
    WHEN c.state = 'withdrawn' THEN CASE
        WHEN num_nonnulls(c.event_name, c.conversion_id, c.action_timestamp_ms) < 3 THEN 'unfit'
        WHEN c.action_timestamp_ms >= %(end_ms)s THEN 'later'
        WHEN num_nonnulls(c.user_domain, c.user_id) = 2 THEN 'changed'
        ELSE 'held'
    END
    WHEN (c.reason LIKE 'refused\_%%' OR c.reason IN ('echo_mismatch', 'written_off'))
        AND num_nonnulls(c.event_name, c.conversion_id, c.action_timestamp_ms, c.user_domain, c.user_id) = 5 THEN 'changed'
    ELSE 'unfit'
END
