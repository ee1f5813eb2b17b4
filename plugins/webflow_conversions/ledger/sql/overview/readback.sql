-- What Webflow showed of each goal since a day, beside what was accepted and expected.
SELECT event_name, day, goal_id, conversions, accepted, accepted_users, expected, read_at
FROM webflow.readback
WHERE day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date
ORDER BY event_name, destination, day
