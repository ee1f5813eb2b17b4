UPDATE webflow.actions SET run_id = %(run_id)s WHERE id = %(id)s
