INSERT INTO webflow.destinations (destination) SELECT unnest(%(destinations)s::text[]) ON CONFLICT DO NOTHING
