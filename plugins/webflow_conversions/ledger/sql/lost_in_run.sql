-- What a run was too late for: it was ready, or would have been, and grew older than 2 days.
SELECT source, reason, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE run_id = %(run_id)s AND state = 'expired' AND reason IN ('expired_unsent', 'expired_in_doubt')
GROUP BY source, reason
ORDER BY source, reason
