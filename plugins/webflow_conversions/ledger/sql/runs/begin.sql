-- Opens a run. A plan that is tried again, or cleared with the tasks after it, resets the run: earlier extractions of it no
-- longer count, and what it showed as a dry run is removed. started_at stays: the run and its window belong to the night in which
-- the run was first opened.
WITH opened AS (
    INSERT INTO webflow.runs AS r (
        dag_id, run_id, run_type, window_start, window_end, sources, dry_run, is_whole, forced, clock_offset_ms, started_at,
        currency, is_rehearsal, addresses, config_path, config_digest
    )
    VALUES (
        %(dag_id)s, %(run_id)s, %(run_type)s, %(window_start)s, %(window_end)s, %(sources)s, %(dry_run)s, %(is_whole)s,
        %(forced)s, %(clock_offset_ms)s, %(now)s,
        %(currency)s, %(is_rehearsal)s, %(addresses)s, %(config_path)s, %(config_digest)s
    )
    ON CONFLICT (dag_id, run_id) DO UPDATE
    SET run_type = excluded.run_type,
        window_start = excluded.window_start,
        window_end = excluded.window_end,
        sources = excluded.sources,
        dry_run = excluded.dry_run,
        is_whole = excluded.is_whole,
        forced = excluded.forced,
        clock_offset_ms = excluded.clock_offset_ms,
        currency = excluded.currency,
        is_rehearsal = excluded.is_rehearsal,
        addresses = excluded.addresses,
        config_path = excluded.config_path,
        config_digest = excluded.config_digest,
        approved_at = NULL,
        ended_at = NULL,
        outcome = NULL,
        notes = '{}',
        hints = '{}',
        failures = '{}',
        problems = '{}',
        verdict = NULL,
        identified = '{}',
        counts = '{}',
        forecast = NULL,
        last_extraction_before = coalesce((SELECT max(x.id) FROM webflow.extractions x WHERE x.run = r.id), 0)
    RETURNING id
), without_results AS (
    DELETE FROM webflow.dry_runs WHERE run IN (SELECT id FROM opened)
)
SELECT id FROM opened
