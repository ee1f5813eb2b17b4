-- Conversions that were sent more than once since a moment, and may have been received more than once.
SELECT source, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE attempts_in_doubt > 0 AND attempts > 1 AND sent_at >= %(since)s
GROUP BY source
