-- Where the conversions of an extraction stand now, with the money that was read; state is null for what is missing.
SELECT c.state, c.reason, count(*) AS rows, coalesce(sum(e.value), 0) AS value
FROM webflow.extracted e
LEFT JOIN webflow.conversions c ON c.id = e.conversion
WHERE e.extraction = %(extraction)s
GROUP BY c.state, c.reason
