-- What waits in the scope of a dry run, page by page, in the form of foreseen.sql.
SELECT
    c.id,
    c.action_id,
    c.event_name,
    c.conversion_id,
    c.action_timestamp_ms,
    c.value,
    c.identity_key,
    c.user_domain,
    c.user_id,
    c.detail,
    c.attempts_in_doubt,
    0 AS rank,
    1 AS alike,
    c.action_timestamp_ms AS said_action_timestamp_ms,
    c.value AS said_value,
    c.identity_key AS said_identity_key,
    c.detail AS said_detail
FROM webflow.conversions c
WHERE c.state IN ('ready', 'held', 'future') AND {in_scope} AND (c.action_timestamp_ms, c.id) > (%(after_ms)s, %(after_id)s)
ORDER BY c.action_timestamp_ms, c.id
LIMIT %(rows)s
