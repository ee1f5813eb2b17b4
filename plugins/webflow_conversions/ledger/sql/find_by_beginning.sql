-- Conversions whose action IDs begin like these, in the order of their action IDs; one page. No text goes on behind
-- a prefix with a character after the last one of Unicode.
SELECT found.id, 0::bigint AS place
FROM unnest(%(prefixes)s::text[]) AS prefix
CROSS JOIN LATERAL (
    SELECT id
    FROM webflow.conversions
    WHERE action_id >= prefix AND action_id < prefix || chr(1114111)
    ORDER BY action_id
    LIMIT %(rows)s
) found
LIMIT %(rows)s
