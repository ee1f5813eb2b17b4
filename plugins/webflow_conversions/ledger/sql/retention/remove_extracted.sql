-- Which conversions a run read matters until it is reconciled; some days are kept for people.
DELETE FROM webflow.extracted
WHERE (extraction, conversion) IN (
    SELECT e.extraction, e.conversion
    FROM webflow.extracted e
    WHERE e.extraction < coalesce(
        (SELECT min(id) FROM webflow.extractions WHERE started_at >= %(kept_since)s), (SELECT max(id) + 1 FROM webflow.extractions)
    )
    ORDER BY e.extraction, e.conversion
    LIMIT %(rows)s
)
