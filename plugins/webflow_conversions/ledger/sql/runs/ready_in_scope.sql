-- What waits to be sent in the window of a run, by source, with the last trouble that it met.
SELECT source, trouble, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions c
WHERE state = 'ready'
  AND {in_scope}
GROUP BY source, trouble
