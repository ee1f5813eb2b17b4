UPDATE webflow.actions SET filter = %(filter)s WHERE id = %(id)s
