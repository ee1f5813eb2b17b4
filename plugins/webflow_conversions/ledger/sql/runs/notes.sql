SELECT notes FROM webflow.runs WHERE id = %(run)s
