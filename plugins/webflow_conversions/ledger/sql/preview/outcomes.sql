-- SQLite. How many conversions have each state and reason. The money in two parts, since a sum of cents may be too large.
SELECT
    state,
    reason,
    count(*) AS rows,
    coalesce(sum(said_value / 1000000), 0) AS millions,
    coalesce(sum(said_value % 1000000), 0) AS rest,
    sum(is_unseen) AS unseen_rows,
    coalesce(sum(CASE WHEN is_unseen THEN said_value / 1000000 END), 0) AS unseen_millions,
    coalesce(sum(CASE WHEN is_unseen THEN said_value % 1000000 END), 0) AS unseen_rest
FROM conversions
GROUP BY state, reason
