-- The last actions, the newest first; or one action.
SELECT id, at, person, action, filter, conversions, outcome, run_id
FROM webflow.actions
WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
  AND (%(id)s::bigint IS NULL OR id = %(id)s)
ORDER BY id DESC
LIMIT %(rows)s
