-- Keeps the result of a source, in place of what an earlier try of it said.
INSERT INTO webflow.dry_runs (run, source, at, preview) VALUES (%(run)s, %(source)s, %(now)s, %(preview)s)
ON CONFLICT (run, source) DO UPDATE SET at = excluded.at, preview = excluded.preview
