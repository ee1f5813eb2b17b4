-- The last complete extraction of each source since plan opened the run.
SELECT DISTINCT ON (x.source) x.*
FROM webflow.runs r
JOIN webflow.extractions x ON x.run = r.id AND x.id > r.last_extraction_before
WHERE r.id = %(run)s AND x.ended_at IS NOT NULL
ORDER BY x.source, x.id DESC
