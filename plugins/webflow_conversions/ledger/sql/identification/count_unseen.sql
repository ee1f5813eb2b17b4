-- What waits in the window and was not returned.
SELECT count(*) AS rows, coalesce(sum(value), 0) AS value
FROM (
    SELECT c.value FROM webflow.conversions c WHERE c.state = 'ready' AND {in_scope} AND {is_unseen}
    UNION ALL
    SELECT c.value FROM webflow.conversions c WHERE c.state IN ('held', 'future') AND {in_scope} AND {is_unseen}
) unseen
