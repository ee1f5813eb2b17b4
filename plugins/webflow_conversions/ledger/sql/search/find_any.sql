-- All conversions, the newest first.
SELECT id, 0::bigint AS place
FROM webflow.conversions c
WHERE {find_filters}
  AND (%(id)s::bigint IS NULL OR id < %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
