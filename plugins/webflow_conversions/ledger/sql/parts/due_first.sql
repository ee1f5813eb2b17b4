-- The claimable conversions that expire first.
SELECT c.id
FROM webflow.conversions c
WHERE {is_claimable}
ORDER BY c.action_timestamp_ms, c.id
LIMIT %(rows)s
FOR UPDATE SKIP LOCKED
