-- What is out: with a push that may still hear of it, or in doubt.
SELECT
    c.source,
    p.expires_at IS NOT NULL AND p.expires_at > clock_timestamp() AS is_awaited,
    count(*) AS rows,
    coalesce(sum(c.value), 0) AS value
FROM webflow.conversions c
LEFT JOIN webflow.pushes p ON p.id = c.push_id
WHERE c.state = 'sending'
GROUP BY 1, 2
