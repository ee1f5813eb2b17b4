INSERT INTO webflow.extractions (run, source, started_at) VALUES (%(run)s, %(source)s, %(now)s) RETURNING id
