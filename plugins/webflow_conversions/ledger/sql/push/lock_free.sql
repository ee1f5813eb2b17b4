-- Of these rows, those that are still this push's and that no other session has locked.
SELECT id
FROM webflow.conversions
WHERE id = ANY (%(ids)s::bigint[]) AND state = 'sending' AND push_id = %(push)s
FOR UPDATE SKIP LOCKED
