-- Conversions whose source row changed after they were sent.
SELECT source, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE changed_after_sent_at >= %(since)s
GROUP BY source
