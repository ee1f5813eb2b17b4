-- SQLite.
UPDATE conversions SET alike = alike + :alike WHERE id = :id
