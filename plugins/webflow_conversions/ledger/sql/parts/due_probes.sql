-- The claimable conversions of each source that expire last: as unlike as possible to due_first.sql.
SELECT of_source.id
FROM unnest(%(sources)s::text[]) AS wanted (source)
CROSS JOIN LATERAL (
    SELECT c.id
    FROM webflow.conversions c
    WHERE c.source = wanted.source AND {is_claimable}
    ORDER BY c.action_timestamp_ms DESC, c.id DESC
    LIMIT %(rows)s
    FOR UPDATE SKIP LOCKED
) of_source
