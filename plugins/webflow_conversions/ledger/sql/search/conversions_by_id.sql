-- Conversions in full, in the order of the IDs.
SELECT
    c.id, c.destination, c.source, c.event_name, c.conversion_id, c.action_id, c.action_timestamp_ms, c.value, c.identity_key,
    c.user_domain, c.user_id, c.state, c.reason, c.detail, c.attempts, c.attempts_in_doubt, c.http_status, c.trouble, c.retry_at,
    c.first_seen_at, c.sent_at, c.settled_at, c.changed_after_sent_at, c.forgotten_at, c.run_id,
    c.attribution, c.attribution_reason, c.attribution_judged_at, c.visit_id, c.visit, c.minutes_from_activity,
    {is_in_doubt} AS is_in_doubt,
    c.state IN ('ready', 'held', 'future') AND webflow.was_rehearsed(c.run_id, c.source, c.action_timestamp_ms, %(max_age)s) AS is_rehearsed
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS chosen (id, place)
JOIN webflow.conversions c ON c.id = chosen.id
ORDER BY chosen.place
