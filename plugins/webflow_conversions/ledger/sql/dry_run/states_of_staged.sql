-- Where the conversions stand that a chunk recorded.
SELECT c.state, c.reason, count(*) AS rows, coalesce(sum(s.value), 0) AS value
FROM pg_temp.staged s
JOIN webflow.conversions c ON c.action_id = s.action_id
JOIN webflow.extracted e ON e.extraction = %(extraction)s AND e.conversion = c.id AND e.beside IS NULL
GROUP BY c.state, c.reason
