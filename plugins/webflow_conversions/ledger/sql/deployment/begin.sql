INSERT INTO webflow.deployment (id) VALUES (%(id)s) ON CONFLICT DO NOTHING
