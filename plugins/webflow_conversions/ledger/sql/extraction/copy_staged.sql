COPY pg_temp.staged (
    action_id, event_name, conversion_id, action_timestamp_ms, value, identity_key, user_domain, user_id, state, reason, detail,
    alike, rank, beside
)
FROM STDIN WITH (FORMAT csv)
