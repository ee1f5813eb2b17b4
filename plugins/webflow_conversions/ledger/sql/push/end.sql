-- Ends a push in good order, and its lease: no request of it is out.
UPDATE webflow.pushes
SET ended_at = clock_timestamp(), expires_at = least(expires_at, clock_timestamp()), counts = %(counts)s
WHERE id = %(push)s
