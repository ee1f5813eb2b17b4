-- What was rejected, or expired while it waited, since a moment, by the UTC day on which that was decided. What was too old
-- when it was first read never waited: a first run reads a month of it, and says so in its reasons.
SELECT
    (settled_at AT TIME ZONE 'UTC')::date AS day, source, state, reason, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE state IN ('rejected', 'expired') AND reason IS DISTINCT FROM 'expired_before_seen' AND settled_at >= %(since)s
GROUP BY 1, 2, 3, 4
