-- SQLite. A chunk of what the source returned.
CREATE TEMPORARY TABLE arrived AS SELECT * FROM conversions
