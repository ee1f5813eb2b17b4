-- Locks conversions, without those that a push or another session holds at this moment.
SELECT c.id
FROM webflow.conversions c
WHERE c.id = ANY (%(ids)s) AND NOT (c.state = 'sending' AND {is_awaited})
FOR UPDATE OF c SKIP LOCKED
