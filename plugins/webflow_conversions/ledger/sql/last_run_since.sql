-- The last run since then that sends whatever is due, as run_record.sql has it: not a dry run, nor one for a date.
SELECT
    ended_at IS NOT NULL AS is_ended,
    problems,
    forecast,
    ARRAY(
        SELECT source
        FROM unnest(sources) AS source
        WHERE NOT EXISTS (SELECT FROM webflow.extractions e WHERE e.run = r.id AND e.source = source AND e.ended_at IS NOT NULL)
    ) AS unread_sources
FROM webflow.runs r
WHERE dag_id = %(dag_id)s
  AND NOT dry_run
  AND window_end - window_start >= interval '48 hours'
  AND started_at >= %(since)s
ORDER BY id DESC
LIMIT 1
