-- The conversions of an act that nobody else is working on, locked for it.
SELECT id FROM webflow.conversions WHERE id = ANY (%(ids)s) FOR UPDATE SKIP LOCKED
