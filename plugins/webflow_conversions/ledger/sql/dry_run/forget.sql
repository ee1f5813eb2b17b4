DELETE FROM webflow.dry_runs WHERE run = %(run)s AND source = %(source)s
