-- SQLite.
DELETE FROM conversions WHERE id = :id
