-- Seconds until the next row of this run may be claimed; null if there is none.
SELECT CASE WHEN count(*) > 0 THEN
    greatest(extract(epoch FROM min(coalesce(retry_at, clock_timestamp())) - clock_timestamp()), 0)::float8
END
FROM webflow.conversions c
WHERE state = 'ready'
  AND {in_scope}
  AND failures < %(max_failures)s
