-- Of these rows, those that are still this push's and that nobody else holds.
SELECT id
FROM webflow.conversions
WHERE id = ANY (%(ids)s::bigint[]) AND state = 'sending' AND push_id = %(push)s
FOR UPDATE SKIP LOCKED
