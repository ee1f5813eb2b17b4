SELECT failures FROM webflow.runs WHERE id = %(run)s
