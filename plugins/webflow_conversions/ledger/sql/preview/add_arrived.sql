-- SQLite.
INSERT INTO arrived (
    action_id, event_name, conversion_id, action_timestamp_ms, value, identity_key, user_domain, user_id, state, reason, detail,
    attempts_in_doubt, rank, alike, said_action_timestamp_ms, said_value, said_identity_key, said_detail
)
VALUES (
    :action_id, :event_name, :conversion_id, :action_timestamp_ms, :value, :identity_key, :user_domain, :user_id, :state, :reason,
    :detail, :attempts_in_doubt, :rank, :alike, :said_action_timestamp_ms, :said_value, :said_identity_key, :said_detail
)
