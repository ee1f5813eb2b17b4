-- Why plan refused the last scheduled run that was due this night.
SELECT failures FROM webflow.runs
WHERE dag_id = %(dag_id)s AND run_type = 'scheduled' AND window_end IS NULL AND started_at >= %(since)s
ORDER BY id DESC
LIMIT 1
