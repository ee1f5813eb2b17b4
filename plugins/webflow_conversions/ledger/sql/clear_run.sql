UPDATE webflow.runs SET cleared_at = clock_timestamp() WHERE id = %(run)s
