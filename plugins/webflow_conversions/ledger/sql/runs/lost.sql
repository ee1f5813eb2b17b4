-- What a run was too late for: it was ready, or would have been, and grew older than 2 days. What had less than ten
-- minutes left when it was first seen is no run's fault: at the edge of the 2 days there is always some.
SELECT source, reason, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE run_id = %(run_id)s AND state = 'expired' AND reason IN ('expired_unsent', 'expired_in_doubt')
  AND to_timestamp(action_timestamp_ms / 1000.0 + %(max_age_seconds)s) - first_seen_at >= interval '10 minutes'
GROUP BY source, reason
ORDER BY source, reason
