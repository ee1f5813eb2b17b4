-- A run as a notice tells of it; a source is unread until one extraction of it came to its end.
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
WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s
