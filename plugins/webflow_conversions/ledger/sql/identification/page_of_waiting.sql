-- The conversions of a destination's sources in the window whose user is to be looked up, page by page: after the last one of
-- the page before. The extraction has just looked up what it returned, unless that lay in the future then; a conversion in doubt
-- it leaves as it is.
SELECT *
FROM (
    (
        SELECT c.id, c.source, c.state, c.action_timestamp_ms, c.identity_key, c.user_domain, c.user_id
        FROM webflow.conversions c
        WHERE c.state = 'ready'
          AND {in_scope}
          AND ({is_unseen} OR c.attempts_in_doubt > 0)
          AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
        ORDER BY c.action_timestamp_ms, c.id
        LIMIT %(rows)s
    )
    UNION ALL
    (
        SELECT c.id, c.source, c.state, c.action_timestamp_ms, c.identity_key, c.user_domain, c.user_id
        FROM webflow.conversions c
        WHERE c.state = 'held'
          AND {in_scope}
          AND ({is_unseen} OR c.attempts_in_doubt > 0 OR c.id = ANY (%(arrived)s::bigint[]))
          AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
        ORDER BY c.action_timestamp_ms, c.id
        LIMIT %(rows)s
    )
) waiting
ORDER BY action_timestamp_ms, id
LIMIT %(rows)s
