-- The conversions of a source of a destination, the newest first. The prefix of their action IDs lets a small source be read by
-- their order, where a large one is found at once in the order of the numbers.
SELECT id, 0::bigint AS place
FROM webflow.conversions c
WHERE action_id >= %(prefix)s AND action_id < %(prefix)s || chr(1114111)
  AND {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
