-- What a run brought to an end other than acceptance, by source, reason and what Webflow said. What was too old when it was first
-- read ended before the run. Had time is what had at least ten minutes left when it was first seen: at the edge of the 2 days
-- there are always some rows that have less, and no run is late for these.
SELECT source, state, reason, words, had_time, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM (
    SELECT
        source,
        state,
        reason,
        value,
        CASE WHEN reason LIKE 'refused\_%%' OR reason = 'echo_mismatch' THEN trouble END AS words,
        to_timestamp(action_timestamp_ms / 1000.0 + %(max_age_seconds)s) - first_seen_at >= interval '10 minutes' AS had_time
    FROM webflow.conversions
    WHERE state IN ('rejected', 'expired', 'withdrawn') AND reason IS DISTINCT FROM 'expired_before_seen'
      AND settled_at >= (SELECT started_at - interval '1 hour' FROM webflow.runs WHERE id = %(run)s)
      AND run_id = %(run_id)s
) ended
GROUP BY source, state, reason, words, had_time
ORDER BY source, state, reason, rows DESC
