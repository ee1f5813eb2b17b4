INSERT INTO webflow.readback (destination, event_name, day, goal_id, conversions, accepted, accepted_users, expected, read_at)
VALUES (
    %(destination)s, %(event_name)s, %(day)s, %(goal_id)s, %(shown)s, %(accepted)s, %(accepted_users)s, %(expected)s, %(now)s
)
ON CONFLICT (destination, event_name, day) DO UPDATE
SET goal_id = excluded.goal_id,
    conversions = excluded.conversions,
    accepted = excluded.accepted,
    accepted_users = excluded.accepted_users,
    expected = excluded.expected,
    read_at = excluded.read_at
