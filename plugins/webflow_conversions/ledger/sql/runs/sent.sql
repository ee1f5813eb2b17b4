SELECT c.source, count(*) AS rows, coalesce(sum(c.value), 0) AS value, count(*) FILTER (WHERE c.attempts_in_doubt > 0) AS sent_again
FROM webflow.conversions c
JOIN webflow.pushes p ON p.id = c.push_id
WHERE p.run = %(run)s AND c.state = 'accepted'
GROUP BY c.source
