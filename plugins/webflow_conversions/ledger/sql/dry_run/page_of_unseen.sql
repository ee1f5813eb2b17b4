-- What waits in the window and was not read again by a dry run, page by page.
SELECT c.id, c.identity_key, c.event_name, c.user_domain, c.user_id, c.action_id, c.action_timestamp_ms, c.value
FROM webflow.conversions c
JOIN {unseen_by_dry_run} unseen ON unseen.id = c.id
WHERE (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
ORDER BY c.action_timestamp_ms, c.id
LIMIT %(rows)s
