-- SQLite. All conversions, in the order in which they came.
SELECT * FROM conversions ORDER BY id
