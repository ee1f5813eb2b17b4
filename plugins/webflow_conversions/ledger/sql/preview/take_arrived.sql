-- SQLite. Adds the chunk, but for the conversions that are there.
INSERT OR IGNORE INTO conversions (
    action_id, event_name, conversion_id, action_timestamp_ms, value, identity_key, user_domain, user_id, state, reason, detail,
    attempts_in_doubt, rank, alike, said_action_timestamp_ms, said_value, said_identity_key, said_detail, is_unseen
)
SELECT action_id, event_name, conversion_id, action_timestamp_ms, value, identity_key, user_domain, user_id, state, reason, detail,
    attempts_in_doubt, rank, alike, said_action_timestamp_ms, said_value, said_identity_key, said_detail, :is_unseen
FROM arrived
