-- The last complete extraction of each source since plan opened the run, and those of other runs that began later.
SELECT last.source, last.started_at, last.read_rows, last.recorded_rows, ARRAY(
    SELECT x.id FROM webflow.extractions x WHERE x.source = last.source AND x.id >= last.id
) AS ids
FROM (
    SELECT DISTINCT ON (x.source) x.*
    FROM webflow.runs r
    JOIN webflow.extractions x ON x.run = r.id AND x.id > r.last_extraction_before
    WHERE r.id = %(run)s AND x.ended_at IS NOT NULL
    ORDER BY x.source, x.id DESC
) last
