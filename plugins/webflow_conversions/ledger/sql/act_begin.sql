INSERT INTO webflow.acts (person, act, filter) VALUES (%(person)s, %(act)s, %(filter)s) RETURNING id
