-- Conversions in flight, by whether they are awaited.
SELECT c.source, {is_awaited} AS is_awaited, count(*) AS rows, coalesce(sum(c.value), 0) AS value
FROM webflow.conversions c
WHERE c.state = 'sending'
GROUP BY 1, 2
