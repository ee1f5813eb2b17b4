COPY pg_temp.judged (
    id, was, attribution, attribution_reason, visit_id, visit, minutes_from_activity, state, reason, user_domain, user_id
)
FROM STDIN WITH (FORMAT csv)
