-- What is ready in the window, page by page: after the last one of the page before. What was judged in an earlier run is judged
-- again, since its source or its user was read again meanwhile.
SELECT
    c.id, c.state, c.event_name, c.action_timestamp_ms, c.identity_key, c.user_domain, c.user_id, c.attempts_in_doubt, c.attribution
FROM webflow.conversions c
WHERE c.state = 'ready'
  AND {in_scope}
  AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
ORDER BY c.action_timestamp_ms, c.id
LIMIT %(rows)s
