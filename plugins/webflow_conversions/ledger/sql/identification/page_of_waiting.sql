-- The conversions of a destination's sources in the window whose user is to be looked up, page by page: after the last one of
-- the page before. The extraction has just looked up what it returned, unless that lay in the future then; a conversion in doubt
-- it leaves as it is. OFFSET 0 keeps PostgreSQL from asking for each row twice whether it is unseen.
SELECT *
FROM (
    (
        SELECT c.id, c.source, c.state, c.action_timestamp_ms, c.value, c.identity_key, c.user_domain, c.user_id, seen.is_unseen
        FROM webflow.conversions c
        CROSS JOIN LATERAL (SELECT {is_unseen} AS is_unseen OFFSET 0) seen
        WHERE c.state = 'ready'
          AND {in_scope}
          AND (seen.is_unseen OR %(again)s OR c.attempts_in_doubt > 0)
          AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
        ORDER BY c.action_timestamp_ms, c.id
        LIMIT %(rows)s
    )
    UNION ALL
    (
        SELECT c.id, c.source, c.state, c.action_timestamp_ms, c.value, c.identity_key, c.user_domain, c.user_id, seen.is_unseen
        FROM webflow.conversions c
        CROSS JOIN LATERAL (SELECT {is_unseen} AS is_unseen OFFSET 0) seen
        WHERE c.state = 'held'
          AND {in_scope}
          AND (seen.is_unseen OR %(again)s OR c.attempts_in_doubt > 0 OR c.id = ANY (%(arrived)s::bigint[]))
          AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
        ORDER BY c.action_timestamp_ms, c.id
        LIMIT %(rows)s
    )
) waiting
ORDER BY action_timestamp_ms, id
LIMIT %(rows)s
