-- Locks the conversions of an action, without those that another session has locked.
SELECT id FROM webflow.conversions WHERE id = ANY (%(ids)s) FOR UPDATE SKIP LOCKED
