SELECT unreadable_times FROM webflow.runs WHERE id = %(run)s
