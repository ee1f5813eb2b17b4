-- The conversions in scope that are sending and not awaited.
SELECT c.source, count(*) AS rows, coalesce(sum(c.value), 0) AS value
FROM webflow.conversions c
WHERE {is_unawaited} AND {in_scope}
GROUP BY c.source
