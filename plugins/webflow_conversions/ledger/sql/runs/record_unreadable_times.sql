UPDATE webflow.runs SET unreadable_times = unreadable_times || jsonb_build_object(%(task)s::text, %(sentence)s::text)
WHERE id = %(run)s
