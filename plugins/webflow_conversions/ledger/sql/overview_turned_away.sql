-- What was rejected or expired since a moment, by the UTC day on which that was decided.
SELECT
    (settled_at AT TIME ZONE 'UTC')::date AS day, source, state, reason, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE state IN ('rejected', 'expired') AND settled_at >= %(since)s
GROUP BY 1, 2, 3, 4
