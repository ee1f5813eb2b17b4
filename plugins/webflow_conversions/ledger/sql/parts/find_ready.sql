-- Ready conversions of all destinations, in the order of expiry.
SELECT found.id, found.action_timestamp_ms AS place, found.value, found.action_timestamp_ms, found.settled_at, found.state, found.reason
FROM webflow.destinations d
CROSS JOIN LATERAL (
    SELECT id, value, action_timestamp_ms, settled_at, state, reason
    FROM webflow.conversions c
    WHERE state = 'ready' AND destination = d.destination
      AND {find_filters}
      AND (%(id)s::bigint IS NULL OR (action_timestamp_ms, id) > (%(place)s, %(id)s))
    ORDER BY action_timestamp_ms, id
    LIMIT %(rows)s
) found
ORDER BY found.action_timestamp_ms, found.id
LIMIT %(rows)s
