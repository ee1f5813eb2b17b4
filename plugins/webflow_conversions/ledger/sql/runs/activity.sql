-- How long after the last activity the conversions since a moment came, by event name and UTC day; place is that of the minutes
-- among the bounds. Only of accepted and rejected ones whose verdict is known: both were settled after they happened.
SELECT
    event_name,
    (to_timestamp(action_timestamp_ms / 1000.0) AT TIME ZONE 'UTC')::date AS day,
    CASE WHEN minutes_from_activity IS NULL THEN cardinality(%(bounds)s::integer[])
    ELSE width_bucket(minutes_from_activity, %(bounds)s::integer[]) END AS place,
    count(*) AS rows
FROM (
    SELECT c.event_name, c.action_timestamp_ms, c.minutes_from_activity, c.attribution
    FROM webflow.pushes p
    JOIN webflow.conversions c ON c.push_id = p.id
    WHERE p.started_at >= %(since)s AND c.state = 'accepted'
    UNION ALL
    SELECT c.event_name, c.action_timestamp_ms, c.minutes_from_activity, c.attribution
    FROM webflow.conversions c
    WHERE c.state = 'rejected' AND c.reason IS DISTINCT FROM 'expired_before_seen' AND c.settled_at >= %(since)s
) judged
WHERE attribution IN ('will_count', 'may_count', 'will_not_count')
  AND event_name IS NOT NULL
  AND action_timestamp_ms >= extract(epoch FROM %(since)s::timestamptz) * 1000
GROUP BY 1, 2, 3
