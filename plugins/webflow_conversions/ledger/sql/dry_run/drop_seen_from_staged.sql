-- What an earlier chunk of a dry run has shown already.
WITH dropped AS (
    DELETE FROM pg_temp.staged s USING pg_temp.seen t WHERE s.action_id = t.action_id RETURNING s.value
)
SELECT count(*) AS rows, coalesce(sum(value), 0) AS value FROM dropped
