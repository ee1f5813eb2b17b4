UPDATE webflow.runs SET hints = hints || jsonb_build_object(%(cause)s || ' ' || %(task)s, %(sentence)s::text) WHERE id = %(run)s
