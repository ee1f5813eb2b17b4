-- The effect of *Write off* on a conversion (c): only a conversion in doubt can be written off.
CASE
    WHEN {is_waiting_in_doubt} THEN 'changed'
    WHEN c.state = 'sending' AND {is_awaited} THEN 'awaited'
    WHEN c.state = 'sending' THEN 'changed'
    ELSE 'not_in_doubt'
END
