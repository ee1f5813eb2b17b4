-- Accepted conversions by event name and UTC day, and their users by what is expected of them, each once. What was sent after the
-- last import (until) is left out, since no import had it. The rows are reached by the pushes that can have sent them. Of a person
-- who was forgotten nothing tells which conversions are theirs, so each of these counts as one user. Of some conversions of a user
-- only a hash of the user ID may be left (hash_people.sql).
WITH users AS (
    SELECT
        c.destination,
        c.event_name,
        (to_timestamp(c.action_timestamp_ms / 1000.0) AT TIME ZONE 'UTC')::date AS day,
        count(*) AS events,
        bool_or(c.attribution = 'will_count') IS TRUE AS will_count,
        bool_or(c.attribution = 'may_count') IS TRUE AS may_count,
        bool_or(coalesce(c.attribution, 'unknown') = 'unknown') AS unknown,
        bool_or(c.visit -> 'readings' ? 'strict') IS TRUE AS strict,
        bool_or(c.visit -> 'readings' ? 'wide') IS TRUE AS wide,
        bool_or(c.visit -> 'readings' ? 'lenient') IS TRUE AS lenient
    FROM webflow.pushes p
    JOIN webflow.conversions c ON c.push_id = p.id AND c.state = 'accepted'
    WHERE coalesce(p.ended_at, p.expires_at) >= %(since)s
      AND p.started_at < %(until)s
      AND c.action_timestamp_ms >= %(since_ms)s
      AND c.action_timestamp_ms < %(until_ms)s
      AND coalesce(c.sent_at, c.settled_at) < %(until)s
    GROUP BY
        1, 2, 3, c.user_domain,
        {hashed_user_id},
        CASE WHEN c.forgotten_at IS NOT NULL THEN c.id END
)
SELECT
    destination,
    event_name,
    day,
    sum(events)::bigint AS accepted,
    count(*) AS users,
    count(*) FILTER (WHERE will_count) AS will_count,
    count(*) FILTER (WHERE may_count AND NOT will_count) AS may_count,
    count(*) FILTER (WHERE unknown AND NOT will_count AND NOT may_count) AS unknown,
    count(*) FILTER (WHERE NOT unknown AND NOT will_count AND NOT may_count) AS will_not_count,
    count(*) FILTER (WHERE strict) AS strict,
    count(*) FILTER (WHERE wide) AS wide,
    count(*) FILTER (WHERE lenient) AS lenient
FROM users
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
