-- The identity keys of the newest held conversions in the window.
SELECT source, identity_key
FROM webflow.conversions c
WHERE state = 'held' AND {in_scope}
ORDER BY action_timestamp_ms DESC, id DESC
LIMIT %(rows)s
