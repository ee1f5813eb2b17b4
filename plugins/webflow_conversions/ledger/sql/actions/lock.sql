-- The conversions of an action that nobody else is working on, locked for it.
SELECT id FROM webflow.conversions WHERE id = ANY (%(ids)s) FOR UPDATE SKIP LOCKED
