UPDATE webflow.runs SET reading = %(reading)s WHERE id = %(run)s
