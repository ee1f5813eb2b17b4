-- What a chunk made of its conversions: where they stand, beside what the source says of them. Of a person who was forgotten,
-- nothing is told.
SELECT
    s.action_id,
    s.event_name,
    CASE WHEN c.forgotten_at IS NULL THEN s.conversion_id END AS conversion_id,
    c.action_timestamp_ms,
    c.value,
    c.identity_key,
    c.user_domain,
    c.user_id,
    c.state,
    c.reason,
    CASE WHEN c.forgotten_at IS NULL THEN CASE WHEN c.reason LIKE 'refused\_%%' THEN c.trouble ELSE s.detail END END AS detail,
    c.attempts_in_doubt,
    s.rank,
    s.alike,
    s.action_timestamp_ms AS said_action_timestamp_ms,
    s.value AS said_value,
    s.identity_key AS said_identity_key,
    s.detail AS said_detail
FROM pg_temp.staged s
JOIN webflow.conversions c ON c.action_id = s.action_id
WHERE s.beside IS NULL
