-- The held rows of a destination's sources in the window, page by page: after the last one of the page before. For those that
-- this run itself has just recorded as held, it has just asked, unless they lay in the future then.
SELECT id, action_timestamp_ms, identity_key
FROM webflow.conversions c
WHERE state = 'held'
  AND (run_id <> %(asked_by)s OR id = ANY (%(arrived)s))
  AND {in_scope}
  AND (action_timestamp_ms, id) > (%(after_ms)s, %(after_id)s)
ORDER BY action_timestamp_ms, id
LIMIT %(rows)s
