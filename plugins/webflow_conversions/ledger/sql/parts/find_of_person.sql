-- The conversions of a user or of an identity key, the newest first: finished ones by the indexes of people, others in their
-- small sets. Either users or keys are given, and null in place of the others, for which nothing is read. Without MATERIALIZED
-- the planner reads all conversions for the newest one.
WITH of_person AS MATERIALIZED (
    SELECT id
    FROM webflow.conversions
    WHERE %(user_ids)s::text[] IS NOT NULL AND user_id = ANY (%(user_ids)s::text[]) AND state IN ('accepted', 'rejected', 'expired', 'withdrawn')
    UNION ALL
    SELECT id
    FROM webflow.conversions
    WHERE %(keys)s::text[] IS NOT NULL AND identity_key = ANY (%(keys)s::text[]) AND state IN ('accepted', 'rejected', 'expired', 'withdrawn')
    UNION ALL
    SELECT c.id
    FROM webflow.destinations d
    JOIN webflow.conversions c ON c.destination = d.destination
    WHERE c.state = 'ready' AND (c.user_id = ANY (%(user_ids)s::text[]) OR c.identity_key = ANY (%(keys)s::text[]))
    UNION ALL
    SELECT id FROM webflow.conversions WHERE state IN ('held', 'future') AND (user_id = ANY (%(user_ids)s::text[]) OR identity_key = ANY (%(keys)s::text[]))
    UNION ALL
    SELECT id FROM webflow.conversions WHERE state = 'sending' AND (user_id = ANY (%(user_ids)s::text[]) OR identity_key = ANY (%(keys)s::text[]))
)
SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
FROM webflow.conversions c
JOIN of_person USING (id)
WHERE {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
