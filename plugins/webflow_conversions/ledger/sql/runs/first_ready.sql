-- The ready conversions in scope of each source that expire first: what a push would send first.
SELECT wanted.source, c.*
FROM unnest(%(sources)s::text[]) AS wanted (source)
CROSS JOIN LATERAL (
    SELECT c.id, c.event_name, c.user_domain, c.user_id, c.action_id, c.action_timestamp_ms, c.value
    FROM webflow.conversions c
    WHERE c.source = wanted.source AND c.state = 'ready' AND {in_scope}
    ORDER BY c.action_timestamp_ms, c.id
    LIMIT %(rows)s
) c
