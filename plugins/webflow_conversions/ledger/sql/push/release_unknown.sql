-- What is recorded as claimed by this push, though it does not know of it: the commit of the claim was not confirmed,
-- and nothing was sent.
UPDATE webflow.conversions
SET state = 'ready', push_id = NULL
WHERE state = 'sending' AND push_id = %(push)s AND id <> ALL (%(known)s::bigint[])
