-- Where the conversions that an extraction recorded stand now, and the verdicts on the accepted ones with the narrowest
-- reading that credits them, the money that was read, and the newest moment that is not in the future.
SELECT
    c.state,
    c.reason,
    CASE WHEN c.state = 'accepted' THEN c.attribution END AS attribution,
    CASE WHEN c.state = 'accepted' THEN c.attribution_reason END AS attribution_reason,
    CASE WHEN c.state = 'accepted' THEN c.visit -> 'readings' ->> 0 END AS reading,
    count(*) AS rows,
    coalesce(sum(e.value), 0) AS value,
    max(c.action_timestamp_ms) FILTER (WHERE c.action_timestamp_ms <= extract(epoch FROM %(now)s::timestamptz) * 1000) AS newest_ms
FROM webflow.extracted e
JOIN webflow.conversions c ON c.id = e.conversion
WHERE e.extraction = %(extraction)s AND e.beside IS NULL
GROUP BY 1, 2, 3, 4, 5
