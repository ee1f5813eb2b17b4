-- Pushes that let their lease end are dead. This waits for one that renews its lease at this moment, and spares it.
UPDATE webflow.pushes
SET ended_at = clock_timestamp()
WHERE destination = %(destination)s AND ended_at IS NULL AND expires_at <= clock_timestamp()
