-- Drops rows that an earlier chunk of the dry run has shown.
WITH dropped AS (
    DELETE FROM pg_temp.staged s USING pg_temp.seen t WHERE s.action_id = t.action_id AND s.beside IS NULL RETURNING s.value
)
SELECT count(*) AS rows, coalesce(sum(value), 0) AS value FROM dropped
