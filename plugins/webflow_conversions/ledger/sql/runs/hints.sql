SELECT hints FROM webflow.runs WHERE id = %(run)s
