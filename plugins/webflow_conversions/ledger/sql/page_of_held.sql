-- The held rows of the window, page by page: after the last one of the page before.
SELECT id, action_timestamp_ms, identity_key
FROM webflow.conversions
WHERE state = 'held'
  AND source = ANY (%(sources)s)
  AND action_timestamp_ms >= %(start_ms)s AND action_timestamp_ms < %(end_ms)s
  AND (action_timestamp_ms, id) > (%(after_ms)s, %(after_id)s)
ORDER BY action_timestamp_ms, id
LIMIT %(rows)s
