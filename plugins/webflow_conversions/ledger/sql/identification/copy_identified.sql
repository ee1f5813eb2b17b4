COPY pg_temp.identified (id, user_domain, user_id, reason, user_before) FROM STDIN WITH (FORMAT csv)
