UPDATE webflow.runs SET notes = array_append(notes, %(note)s) WHERE id = %(run)s
