-- Locks those of the given rows that this push still owns and no other session has locked.
SELECT id
FROM webflow.conversions
WHERE id = ANY (%(ids)s::bigint[]) AND state = 'sending' AND push_id = %(push)s
FOR UPDATE SKIP LOCKED
