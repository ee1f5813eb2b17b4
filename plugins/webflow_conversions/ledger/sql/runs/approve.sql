UPDATE webflow.runs SET approved_at = clock_timestamp() WHERE id = %(run)s
