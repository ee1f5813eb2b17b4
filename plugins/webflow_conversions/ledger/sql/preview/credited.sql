-- SQLite. How many of the conversions to send have each verdict and its reason.
SELECT
    attribution,
    attribution_reason AS reason,
    count(*) AS rows,
    coalesce(sum(said_value / 1000000), 0) AS millions,
    coalesce(sum(said_value % 1000000), 0) AS rest
FROM conversions
WHERE state = 'ready'
GROUP BY attribution, attribution_reason
