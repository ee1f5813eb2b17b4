COPY pg_temp.identified (id, user_domain, user_id, reason) FROM STDIN WITH (FORMAT csv)
