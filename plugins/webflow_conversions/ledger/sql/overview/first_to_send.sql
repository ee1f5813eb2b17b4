-- What the events of some conversions are made of.
SELECT id, destination, event_name, conversion_id, user_domain, user_id, action_id, action_timestamp_ms, value
FROM webflow.conversions
WHERE id = ANY (%(numbers)s::bigint[])
