-- The filters of every list of conversions (c): search/find_*.sql.
(%(state)s::text IS NULL OR c.state = %(state)s)
AND (%(source)s::text IS NULL OR c.source = %(source)s)
AND (%(reason)s::text IS NULL OR c.reason = %(reason)s)
AND (%(attribution)s::text IS NULL OR c.attribution = %(attribution)s)
AND (%(attribution_reason)s::text IS NULL OR c.attribution_reason = %(attribution_reason)s)
AND (%(extractions)s::bigint[] IS NULL OR EXISTS (
    SELECT FROM webflow.extracted e WHERE e.extraction = ANY (%(extractions)s) AND e.conversion = c.id AND e.beside IS NULL
))
AND CASE %(only)s::text
    WHEN 'in_doubt' THEN {is_in_doubt}
    WHEN 'sent_again' THEN c.attempts_in_doubt > 0 AND c.attempts > 1
    WHEN 'changed' THEN c.changed_after_sent_at IS NOT NULL
    ELSE true
END
