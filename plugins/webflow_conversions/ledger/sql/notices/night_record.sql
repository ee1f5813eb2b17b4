-- The night as a notice tells of it: its last whole run, and the sources that none of its whole runs has read to the end since
-- plan opened it. A run is of the night if its window reaches up to when the first one was due, whenever it begins.
WITH night AS (
    SELECT id, run_id, sources, is_rehearsal, ended_at, failures, verdict, forecast, last_extraction_before
    FROM webflow.runs
    WHERE dag_id = %(dag_id)s AND is_whole AND window_end >= %(since)s
)
SELECT
    run_id,
    is_rehearsal,
    ended_at IS NOT NULL AS is_ended,
    failures,
    verdict,
    forecast,
    ARRAY(
        SELECT wanted.source
        FROM unnest(sources) AS wanted (source)
        WHERE NOT EXISTS (
            SELECT FROM night n
            JOIN webflow.extractions x ON x.run = n.id AND x.id > n.last_extraction_before
            WHERE x.source = wanted.source AND x.ended_at IS NOT NULL
        )
    ) AS unread_sources
FROM night
ORDER BY id DESC
LIMIT 1
