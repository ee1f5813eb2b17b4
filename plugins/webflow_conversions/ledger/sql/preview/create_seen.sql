-- SQLite. The action IDs of all that the source returned.
CREATE TABLE seen (action_id TEXT PRIMARY KEY) WITHOUT ROWID
