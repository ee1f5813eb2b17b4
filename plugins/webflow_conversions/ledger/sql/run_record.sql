-- A run as a notice tells of it: that of this ID or, without one, the last whole run since then. A source is unread until one
-- extraction of it since plan opened the run came to its end.
SELECT
    ended_at IS NOT NULL AS is_ended,
    problems,
    forecast,
    ARRAY(
        SELECT source
        FROM unnest(sources) AS wanted (source)
        WHERE NOT EXISTS (
            SELECT FROM webflow.extractions x
            WHERE x.run = r.id AND x.id > r.last_extraction_before AND x.source = wanted.source AND x.ended_at IS NOT NULL
        )
    ) AS unread_sources
FROM webflow.runs r
WHERE dag_id = %(dag_id)s
  AND CASE
      WHEN %(run_id)s IS NOT NULL THEN run_id = %(run_id)s
      ELSE is_whole AND started_at >= %(since)s
  END
ORDER BY id DESC
LIMIT 1
