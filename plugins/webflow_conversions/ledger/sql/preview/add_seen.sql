-- SQLite.
INSERT OR IGNORE INTO seen VALUES (:action_id)
