-- The filters of every list of conversions (c): parts/find_*.sql. The reason refused is every refused_<status>.
(%(state)s::text IS NULL OR c.state = %(state)s)
AND (%(source)s::text IS NULL OR c.source = %(source)s)
AND (%(reason)s::text IS NULL OR c.reason = %(reason)s OR %(reason)s = 'refused' AND c.reason LIKE 'refused\_%%')
AND (%(from_ms)s::bigint IS NULL OR c.action_timestamp_ms >= %(from_ms)s)
AND (%(end_ms)s::bigint IS NULL OR c.action_timestamp_ms < %(end_ms)s)
AND (%(value_from)s::numeric IS NULL OR c.value >= %(value_from)s)
AND (%(value_to)s::numeric IS NULL OR c.value <= %(value_to)s)
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
