-- The account of each source that was read to its end; of several tries the last.
SELECT DISTINCT ON (source) *
FROM webflow.extractions
WHERE run = %(run)s AND ended_at IS NOT NULL
ORDER BY source, id DESC
