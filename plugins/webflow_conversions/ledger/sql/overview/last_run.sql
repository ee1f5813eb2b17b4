-- How the last run that plan opened was to send, dry runs aside.
SELECT is_rehearsal, config_path FROM webflow.runs
WHERE dag_id = %(dag_id)s AND window_end IS NOT NULL AND NOT dry_run
ORDER BY id DESC
LIMIT 1
