-- Which runs of the last days read a conversion.
SELECT x.started_at AS at, r.run_id
FROM webflow.extractions x
JOIN webflow.runs r ON r.id = x.run
WHERE x.id > (SELECT max(id) - 1000 FROM webflow.extractions)
  AND x.source = %(source)s
  AND EXISTS (SELECT FROM webflow.extracted e WHERE e.extraction = x.id AND e.conversion = %(conversion)s)
ORDER BY x.id
