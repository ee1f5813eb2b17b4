-- The tries of a task that have not ended; a dead one that nobody has reaped yet has no lease any more.
SELECT id, host, pid, try_number, expires_at > clock_timestamp() AS is_leased
FROM webflow.pushes
WHERE run = %(run)s AND destination = %(destination)s AND worker = %(worker)s AND ended_at IS NULL
