-- What every list of conversions can be narrowed to; a part of the statements find_*.
(%(source)s::text IS NULL OR source = %(source)s)
AND (%(reason)s::text IS NULL OR reason = %(reason)s)
AND (%(extractions)s::bigint[] IS NULL OR EXISTS (
    SELECT FROM webflow.extracted e WHERE e.extraction = ANY (%(extractions)s) AND e.conversion = c.id
))
