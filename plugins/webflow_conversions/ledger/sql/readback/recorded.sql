SELECT destination, event_name, day, goal_id, conversions, accepted, accepted_users, expected
FROM webflow.readback
WHERE day >= %(since)s
ORDER BY destination, event_name, day
