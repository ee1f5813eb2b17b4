-- The complete readings of a run.
SELECT DISTINCT ON (source) id FROM webflow.extractions WHERE run = %(run)s AND ended_at IS NOT NULL ORDER BY source, id DESC
