-- A run that plan has not opened has no window, and this row alone says why.
INSERT INTO webflow.runs AS r (dag_id, run_id, run_type, started_at, failures)
VALUES (%(dag_id)s, %(run_id)s, %(run_type)s, %(now)s, jsonb_build_object(%(key)s, %(failure)s::jsonb))
ON CONFLICT (dag_id, run_id) DO UPDATE SET failures = r.failures || excluded.failures
