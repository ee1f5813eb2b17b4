-- When the next row that is to be repeated in this run is due; null when there is none.
SELECT CASE WHEN count(*) > 0 THEN
    greatest(extract(epoch FROM min(coalesce(retry_at, clock_timestamp())) - clock_timestamp()), 0)::float8
END
FROM webflow.conversions
WHERE state = 'ready'
  AND destination = %(destination)s
  AND source = ANY (%(sources)s)
  AND action_timestamp_ms >= %(start_ms)s AND action_timestamp_ms < %(end_ms)s
  AND failures < %(max_failures)s
