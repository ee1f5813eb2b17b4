-- When the next row that is to be repeated in this run is due; null when there is none.
SELECT CASE WHEN count(*) > 0 THEN
    greatest(extract(epoch FROM min(coalesce(retry_at, clock_timestamp())) - clock_timestamp()), 0)::float8
END
FROM webflow.conversions c
WHERE state = 'ready'
  AND {in_scope}
  AND failures < %(max_failures)s
