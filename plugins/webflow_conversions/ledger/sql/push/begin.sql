-- Earlier tries of the same task claim and record nothing more: Airflow starts another only when it gave them up. One
-- whose process is gone has nothing out; what another may have out ends with its lease. A run that the guards have
-- not approved gets no push. The first push to a destination after the guards have approved the run, and the first after its
-- end where somebody cleared its tasks in Airflow, give what waits its attempts anew. was_misled: answers that were not the API's
-- ended the last push to the destination that sent anything.
WITH superseded AS (
    UPDATE webflow.pushes p
    SET ended_at = clock_timestamp(),
        expires_at = CASE WHEN id = ANY (%(gone)s::bigint[]) THEN least(expires_at, clock_timestamp()) ELSE expires_at END
    WHERE p.run = %(run)s AND p.destination = %(destination)s AND p.worker = %(worker)s AND p.ended_at IS NULL
      AND (p.try_number <= %(try_number)s OR NOT {is_alive})
), attempts_anew AS (
    UPDATE webflow.conversions c
    SET failures = 0
    WHERE state = 'ready'
      AND {in_scope}
      AND failures > 0
      AND NOT EXISTS (
          SELECT FROM webflow.pushes p JOIN webflow.runs r ON r.id = p.run
          WHERE p.run = %(run)s AND p.destination = %(destination)s AND p.started_at > greatest(r.approved_at, r.ended_at)
      )
)
INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, expires_at)
SELECT
    id, %(destination)s, %(worker)s, %(try_number)s, %(host)s, %(pid)s,
    clock_timestamp() + make_interval(secs => %(lease_seconds)s)
FROM webflow.runs
WHERE id = %(run)s AND approved_at IS NOT NULL
RETURNING
    id,
    coalesce((
        SELECT (p.counts ->> 'misled')::boolean FROM webflow.pushes p
        WHERE p.destination = %(destination)s AND (p.counts ->> 'requests')::bigint > 0
        ORDER BY p.id DESC
        LIMIT 1
    ), false) AS was_misled
