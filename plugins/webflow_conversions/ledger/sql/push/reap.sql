-- Declares pushes dead whose lease is over. This waits for a push that renews its lease at this moment, and spares it.
UPDATE webflow.pushes p
SET ended_at = clock_timestamp()
WHERE p.destination = %(destination)s AND p.ended_at IS NULL AND NOT {is_alive}
