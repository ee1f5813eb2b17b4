-- Conversions that were rejected or withdrawn, or expired while they waited, since a moment, by the UTC day of settled_at.
-- Rows that were too old when first read are left out: a first run reads a month of them, and they have a reason of their own.
SELECT
    (settled_at AT TIME ZONE 'UTC')::date AS day, source, state, reason, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE state IN ('rejected', 'expired', 'withdrawn') AND reason IS DISTINCT FROM 'expired_before_seen' AND settled_at >= %(since)s
GROUP BY 1, 2, 3, 4
