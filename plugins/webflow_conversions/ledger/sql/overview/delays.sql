-- The delays of what some runs got accepted, by source, each as its median and 95th percentile: from the conversion to its first
-- sight in the ledger, and from there to its acceptance.
SELECT
    c.source,
    count(*) AS rows,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
        ORDER BY c.first_seen_at - to_timestamp(c.action_timestamp_ms / 1000.0)
    ) AS to_first_seen,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY c.settled_at - c.first_seen_at) AS to_accepted
FROM webflow.conversions c
JOIN webflow.pushes p ON p.id = c.push_id
WHERE p.run = ANY (%(night)s) AND c.state = 'accepted' AND c.settled_at IS NOT NULL
GROUP BY c.source
