-- SQLite.
SELECT EXISTS (SELECT 1 FROM seen WHERE action_id = :action_id) AS is_seen
