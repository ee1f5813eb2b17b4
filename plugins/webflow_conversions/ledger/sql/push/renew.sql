-- No row comes back when the push was declared dead, or its lease has ended; otherwise the seconds for which the
-- destination is to be left alone. Only from version 17 on does PostgreSQL know how long it is since -infinity.
UPDATE webflow.pushes p
SET expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s), counts = %(counts)s
FROM webflow.destinations d
WHERE p.id = %(push)s AND p.ended_at IS NULL AND p.expires_at > clock_timestamp() AND d.destination = p.destination
RETURNING greatest(extract(epoch FROM nullif(d.paused_until, '-infinity') - clock_timestamp()), 0)::float8 AS pause_seconds
