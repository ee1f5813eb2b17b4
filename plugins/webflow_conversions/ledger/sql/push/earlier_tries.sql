-- The tries of a task that have not ended; one whose lease is over is dead, though nobody has reaped it yet.
SELECT p.id, p.host, p.pid, p.try_number, {is_alive} AS is_alive
FROM webflow.pushes p
WHERE p.run = %(run)s AND p.destination = %(destination)s AND p.worker = %(worker)s AND p.ended_at IS NULL
