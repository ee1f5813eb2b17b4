-- SQLite.
DELETE FROM arrived
