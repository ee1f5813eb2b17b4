SELECT identified FROM webflow.runs WHERE id = %(run)s
