-- Where the conversions that an extraction recorded stand now, with the money that was read.
SELECT c.state, c.reason, count(*) AS rows, coalesce(sum(e.value), 0) AS value
FROM webflow.extracted e
JOIN webflow.conversions c ON c.id = e.conversion
WHERE e.extraction = %(extraction)s
GROUP BY c.state, c.reason
