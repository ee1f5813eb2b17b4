-- In good order: nothing of it is out, so nobody has to wait for the end of its lease.
UPDATE webflow.pushes
SET ended_at = clock_timestamp(), expires_at = least(expires_at, clock_timestamp()), counts = %(counts)s
WHERE id = %(push)s
