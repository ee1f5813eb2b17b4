-- Releases rows that the ledger says this push claimed and the push does not know: the commit of the claim was not confirmed,
-- and no request left.
UPDATE webflow.conversions
SET state = 'ready', push_id = NULL
WHERE state = 'sending' AND push_id = %(push)s AND id <> ALL (%(known)s::bigint[])
