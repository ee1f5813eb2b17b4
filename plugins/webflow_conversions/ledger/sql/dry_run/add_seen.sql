INSERT INTO pg_temp.seen SELECT unnest(%(action_ids)s::text[]) ON CONFLICT DO NOTHING
