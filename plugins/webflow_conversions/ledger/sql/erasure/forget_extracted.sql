-- Removes what kept source rows of conversions said, and what the conversions were before; that they were read, and their
-- value, stays with the extraction's account.
UPDATE webflow.extracted e
SET is_kept = false, action_timestamp_ms = NULL, identity_key = NULL, was = NULL, detail = NULL
WHERE e.extraction = ANY (ARRAY(SELECT id FROM webflow.extractions WHERE id >= (SELECT min(extraction) FROM webflow.extracted)))
  AND e.conversion = ANY (%(ids)s)
  AND (e.is_kept OR e.was IS NOT NULL)
