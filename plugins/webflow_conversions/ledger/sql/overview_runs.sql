-- The last runs of a Dag, the newest first.
SELECT
    id, run_id, run_type, window_start, window_end, sources, dry_run, forced, started_at, cleared_at, ended_at, outcome, notes,
    problems, counts, forecast
FROM webflow.runs
WHERE dag_id = %(dag_id)s
ORDER BY id DESC
LIMIT %(runs)s
