INSERT INTO webflow.hashed_people (state, place, id) VALUES (%(state)s, %(place)s, %(id)s)
ON CONFLICT (state) DO UPDATE SET place = excluded.place, id = excluded.id
