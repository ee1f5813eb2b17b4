-- A dry run of a Dag, with the results of its sources that are still kept.
SELECT
    r.id AS number,
    r.run_id,
    r.window_start,
    r.window_end,
    r.sources,
    r.started_at,
    r.ended_at,
    r.failures,
    r.currency,
    coalesce(
        (SELECT json_object_agg(d.source, d.preview) FROM webflow.dry_runs d WHERE d.run = r.id AND d.at >= %(since)s), '{}'
    ) AS previews
FROM webflow.runs r
WHERE r.dag_id = %(dag_id)s AND r.id = %(number)s AND r.dry_run
