-- Reconcile needs the conversions that a run read; people look at those of the last days.
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
