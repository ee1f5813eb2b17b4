UPDATE webflow.runs SET identified = %(identified)s WHERE id = %(run)s
