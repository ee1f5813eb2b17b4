INSERT INTO webflow.actions (person, action, filter) VALUES (%(person)s, %(action)s, %(filter)s) RETURNING id
