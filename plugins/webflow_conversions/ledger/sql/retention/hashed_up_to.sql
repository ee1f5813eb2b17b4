-- The last conversion of a state that hash_people.sql has seen; before all others at first.
SELECT coalesce(max(place), 0) AS place, coalesce(max(id), 0) AS id FROM webflow.hashed_people WHERE state = %(state)s
