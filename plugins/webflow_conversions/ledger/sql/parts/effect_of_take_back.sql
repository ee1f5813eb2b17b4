-- The effect of *Take back* on a conversion (c): only a conversion that waits, and of which no request may have left.
CASE
    WHEN c.state = 'accepted' THEN 'accepted'
    WHEN c.state = 'sending' AND {is_awaited} THEN 'awaited'
    WHEN c.state = 'sending' OR {is_waiting_in_doubt} THEN 'in_doubt'
    WHEN c.state NOT IN ('ready', 'held', 'future') THEN 'not_waiting'
    WHEN c.action_timestamp_ms < %(oldest_ms)s THEN 'too_old'
    ELSE 'changed'
END
