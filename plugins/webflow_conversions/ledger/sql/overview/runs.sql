-- The runs of a Dag since a moment, its last ones but for dry runs, and the requested one; the newest first. For a run that has not ended,
-- accepted_so_far is the number that its pushes counted.
SELECT
    id, run_id, run_type, window_start, window_end, sources, dry_run, is_rehearsal, is_whole, forced, started_at, approved_at,
    ended_at, outcome, notes, failures, problems, verdict, identified, counts, forecast, currency, addresses, reading,
    config_path, config_digest,
    CASE WHEN ended_at IS NULL THEN (
        SELECT coalesce(sum((p.counts ->> 'accepted')::bigint), 0)::bigint FROM webflow.pushes p WHERE p.run = r.id
    ) END AS accepted_so_far
FROM webflow.runs r
WHERE dag_id = %(dag_id)s AND (
    started_at >= %(since)s
    OR id = %(run)s
    OR id = ANY (ARRAY(SELECT id FROM webflow.runs WHERE dag_id = %(dag_id)s AND NOT dry_run ORDER BY id DESC LIMIT %(runs)s))
)
ORDER BY id DESC
