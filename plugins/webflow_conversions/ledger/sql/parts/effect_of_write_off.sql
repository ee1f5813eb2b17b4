-- What writing a conversion off comes to; a part of statements. Only what is in doubt can be.
CASE
    WHEN {is_ready_in_doubt} THEN 'changed'
    WHEN c.state = 'sending' AND {is_awaited} THEN 'awaited'
    WHEN c.state = 'sending' THEN 'changed'
    ELSE 'not_in_doubt'
END
