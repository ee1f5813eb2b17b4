-- The last run that plan opened, dry runs aside.
SELECT is_rehearsal FROM webflow.runs
WHERE dag_id = %(dag_id)s AND window_end IS NOT NULL AND NOT dry_run
ORDER BY id DESC
LIMIT 1
