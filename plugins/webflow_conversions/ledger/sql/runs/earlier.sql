-- By source, the last runs that were approved for sending: rows read, and rows and money sent, or rehearsed. A run that the
-- guards stopped says nothing about what is usual. Rows read are null where the source was not read.
SELECT
    source.key AS source,
    earlier.window_start,
    earlier.window_end,
    (source.value -> 'read' ->> 'rows')::bigint AS read_rows,
    coalesce((source.value -> 'sent' ->> 'rows')::bigint, 0)
        + coalesce((source.value -> 'would_send' ->> 'rows')::bigint, 0) AS sent_rows,
    coalesce((source.value -> 'sent' ->> 'value')::numeric, 0)
        + coalesce((source.value -> 'would_send' ->> 'value')::numeric, 0) AS sent_value
FROM (
    SELECT id, counts, window_start, window_end
    FROM webflow.runs
    WHERE dag_id = %(dag_id)s AND ended_at IS NOT NULL AND approved_at IS NOT NULL AND NOT dry_run AND id <> %(run)s
    ORDER BY id DESC
    LIMIT %(runs)s
) earlier
CROSS JOIN LATERAL jsonb_each(earlier.counts -> 'sources') AS source
ORDER BY earlier.id DESC
