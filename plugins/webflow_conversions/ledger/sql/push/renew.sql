-- Renews the lease of a push; the seconds until the destination's pause ends. No row for a push that is not alive.
-- Only from version 17 on does PostgreSQL know how long it is since -infinity.
UPDATE webflow.pushes p
SET expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s), counts = %(counts)s
FROM webflow.destinations d
WHERE p.id = %(push)s AND {is_alive} AND d.destination = p.destination
RETURNING greatest(extract(epoch FROM nullif(d.paused_until, '-infinity') - clock_timestamp()), 0)::float8 AS pause_seconds
