-- Reserves the next permits of a destination's rate limit, for all its workers together; the seconds until the first one.
-- Permits over a minute ahead mean that the server's clock was set back.
UPDATE webflow.destinations
SET next_permit_at = CASE
        WHEN next_permit_at < clock_timestamp() + make_interval(secs => 60 + 100 * %(seconds_apart)s)
        THEN greatest(next_permit_at, clock_timestamp())
        ELSE clock_timestamp()
    END + make_interval(secs => %(permits)s * %(seconds_apart)s)
WHERE destination = %(destination)s
RETURNING extract(epoch FROM next_permit_at - clock_timestamp())::float8 - %(permits)s * %(seconds_apart)s AS seconds
