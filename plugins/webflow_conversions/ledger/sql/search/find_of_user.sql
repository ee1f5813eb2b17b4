-- The conversions of a user, the newest first: finished ones by the index of users, others in their small sets. Held rows
-- have no user yet. Without MATERIALIZED the planner reads all conversions for the newest one.
WITH of_user AS MATERIALIZED (
    SELECT id FROM webflow.conversions WHERE user_id = ANY (%(user_ids)s) AND state IN ('accepted', 'rejected', 'expired', 'withdrawn')
    UNION ALL
    SELECT c.id
    FROM webflow.destinations d
    JOIN webflow.conversions c ON c.destination = d.destination
    WHERE c.state = 'ready' AND c.user_id = ANY (%(user_ids)s)
    UNION ALL
    SELECT id FROM webflow.conversions WHERE state = 'sending' AND user_id = ANY (%(user_ids)s)
)
SELECT id, 0::bigint AS place
FROM webflow.conversions c
JOIN of_user USING (id)
WHERE {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
