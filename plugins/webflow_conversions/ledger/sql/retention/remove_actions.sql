-- The action log has people's names, of those who acted.
DELETE FROM webflow.actions
WHERE id IN (SELECT id FROM webflow.actions WHERE at < %(before)s ORDER BY id LIMIT %(rows)s)
