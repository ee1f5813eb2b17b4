-- Conversions that happened on some days, the newest first. Without OFFSET 0 the planner walks through all that is newer.
SELECT id, place, value, action_timestamp_ms, settled_at, state, reason
FROM (
    SELECT id, 0::bigint AS place, value, action_timestamp_ms, settled_at, state, reason
    FROM webflow.conversions c
    WHERE {find_filters}
      AND (%(id)s::bigint IS NULL OR id < %(id)s)
    OFFSET 0
) of_days
ORDER BY id DESC
LIMIT %(rows)s
