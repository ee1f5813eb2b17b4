-- Nothing is compared with a dry run. Other runs stay: guards compare a night with those before it.
DELETE FROM webflow.runs
WHERE id IN (SELECT id FROM webflow.runs WHERE dry_run AND started_at < %(before)s ORDER BY id LIMIT %(rows)s)
