-- What is held or was sent in the last days, and whose verdict more data may change, page by page. A visitor who is identified
-- late has been the user all along, so this concerns each verdict but the positive one. What is ready is judged by the run in
-- whose window it lies, since a verdict may hold or reject it.
SELECT
    c.id, c.state, c.event_name, c.action_timestamp_ms, c.identity_key, c.user_domain, c.user_id, c.attempts_in_doubt, c.attribution
FROM webflow.conversions c
WHERE c.attribution <> 'will_count'
  AND c.state IN ('held', 'sending', 'accepted')
  AND c.destination = %(destination)s
  AND c.source = ANY (%(sources)s)
  AND c.identity_key IS NOT NULL
  AND c.attribution_judged_at < %(judged_before)s
  AND c.action_timestamp_ms >= %(since_ms)s
  AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
ORDER BY c.action_timestamp_ms, c.id
LIMIT %(rows)s
