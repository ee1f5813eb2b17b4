-- One action ID of each destination, source and event name: each step goes to the next kind by the order of the
-- action IDs, in which "0" follows "/".
WITH RECURSIVE kinds AS (
    (SELECT action_id FROM webflow.conversions ORDER BY action_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT c.action_id
        FROM webflow.conversions c
        WHERE c.action_id > coalesce(substring(kinds.action_id FROM '^[^/]*/[^/]*/[^/]*(?=/)') || '0', kinds.action_id) COLLATE "C"
        ORDER BY c.action_id
        LIMIT 1
    )
    FROM kinds
    WHERE kinds.action_id IS NOT NULL
)
SELECT action_id FROM kinds WHERE action_id IS NOT NULL LIMIT %(kinds)s
