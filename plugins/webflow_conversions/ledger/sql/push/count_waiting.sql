-- What waits in the scope of a push, in the order of expiry, and its fate at a rate in rows per second: expiring is lost, late is
-- not, and misses the import.
SELECT
    count(*) AS rows,
    coalesce(sum(value), 0) AS value,
    count(*) FILTER (WHERE is_late AND NOT is_expiring) AS late_rows,
    coalesce(sum(value) FILTER (WHERE is_late AND NOT is_expiring), 0) AS late_value,
    count(*) FILTER (WHERE is_expiring) AS expiring_rows,
    coalesce(sum(value) FILTER (WHERE is_expiring), 0) AS expiring_value
FROM (
    SELECT
        value,
        place > %(rows_per_second)s * %(seconds_to_import)s AS is_late,
        place * 1000.0 > %(rows_per_second)s * (action_timestamp_ms - %(oldest_ms)s) AS is_expiring
    FROM (
        SELECT value, action_timestamp_ms, row_number() OVER (ORDER BY action_timestamp_ms, id) AS place
        FROM webflow.conversions c
        WHERE state = 'ready'
          AND {in_scope}
    ) queue
) forecast
