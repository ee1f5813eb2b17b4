-- The rows and the money that each source gave in the earlier nights of this run's weekday, by whole runs that were approved for
-- sending; of several runs of a night the one that read most. The latest night first.
SELECT DISTINCT ON (day, source)
    (earlier.window_end AT TIME ZONE 'UTC')::date AS day,
    source.key AS source,
    (source.value -> 'read' ->> 'rows')::bigint AS rows,
    (source.value -> 'read' ->> 'value')::numeric AS value
FROM webflow.runs this
JOIN webflow.runs earlier
    ON earlier.dag_id = this.dag_id AND earlier.id <> this.id AND earlier.is_whole
    AND earlier.ended_at IS NOT NULL AND earlier.approved_at IS NOT NULL
    AND earlier.window_end < this.window_end AND earlier.window_end >= this.window_end - make_interval(weeks => %(weeks)s)
    AND extract(isodow FROM earlier.window_end AT TIME ZONE 'UTC') = extract(isodow FROM this.window_end AT TIME ZONE 'UTC')
    AND (earlier.window_end AT TIME ZONE 'UTC')::date < (this.window_end AT TIME ZONE 'UTC')::date
CROSS JOIN LATERAL jsonb_each(earlier.counts -> 'sources') AS source
WHERE this.id = %(run)s AND source.value ? 'read'
ORDER BY day DESC, source, rows DESC
