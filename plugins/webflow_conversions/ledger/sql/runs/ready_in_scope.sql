-- Ready conversions in scope, by source and last trouble.
SELECT source, trouble, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions c
WHERE state = 'ready'
  AND {in_scope}
GROUP BY source, trouble
