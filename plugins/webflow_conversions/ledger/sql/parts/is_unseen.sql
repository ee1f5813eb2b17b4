-- A waiting conversion (c) that this run brought into no state, and that none of the given extractions returned.
c.run_id <> %(asked_by)s
AND NOT EXISTS (SELECT FROM webflow.extracted e WHERE e.extraction = ANY (%(extractions)s::bigint[]) AND e.conversion = c.id)
