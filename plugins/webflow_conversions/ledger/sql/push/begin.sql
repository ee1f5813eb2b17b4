-- Registers a push, and declares earlier tries of its task dead: Airflow starts another try only after it gave them up. A
-- try whose process is gone has no request out, so its lease ends now; other leases run on. A run that is not approved, or
-- is a rehearsal, gets no push. The first push to a destination after the approval, and the first after the run's end (tasks cleared in
-- Airflow), set the failed attempts of waiting rows to 0. was_misled: answers that were not the API's ended the last push to the
-- destination that sent anything.
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
WHERE id = %(run)s AND approved_at IS NOT NULL AND NOT is_rehearsal
RETURNING
    id,
    coalesce((
        SELECT (p.counts ->> 'misled')::boolean FROM webflow.pushes p
        WHERE p.destination = %(destination)s AND (p.counts ->> 'requests')::bigint > 0
        ORDER BY p.id DESC
        LIMIT 1
    ), false) AS was_misled
