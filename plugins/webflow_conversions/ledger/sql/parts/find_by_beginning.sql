-- Conversions whose action IDs begin with one of these prefixes, in the order of the action IDs, after a given one. The
-- upper bound is the prefix and Unicode's last character.
SELECT found.id, 0::bigint AS place, found.value, found.action_timestamp_ms, found.settled_at, found.state, found.reason
FROM unnest(%(prefixes)s::text[]) AS prefix
CROSS JOIN LATERAL (
    SELECT id, action_id, value, action_timestamp_ms, settled_at, state, reason
    FROM webflow.conversions c
    WHERE action_id >= prefix AND action_id < prefix || chr(1114111)
      AND {find_filters}
      AND (%(behind)s::text IS NULL OR action_id > %(behind)s)
    ORDER BY action_id
    LIMIT %(rows)s
) found
ORDER BY found.action_id
LIMIT %(rows)s
