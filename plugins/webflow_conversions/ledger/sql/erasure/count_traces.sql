-- What extractions and history hold about conversions.
SELECT
    (
        SELECT count(*) FROM webflow.extracted e
        WHERE e.extraction = ANY (ARRAY(SELECT id FROM webflow.extractions WHERE id >= (SELECT min(extraction) FROM webflow.extracted)))
          AND e.conversion = ANY (%(ids)s) AND (e.is_kept OR e.was IS NOT NULL)
    ) AS extracted,
    (SELECT count(*) FROM webflow.history WHERE conversion = ANY (%(ids)s)) AS history
