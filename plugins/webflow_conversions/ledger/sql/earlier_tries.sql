SELECT id, host, pid, try_number
FROM webflow.pushes
WHERE run = %(run)s AND destination = %(destination)s AND worker = %(worker)s AND ended_at IS NULL
