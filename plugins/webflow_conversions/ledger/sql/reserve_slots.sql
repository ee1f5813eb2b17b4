-- The next slots of a destination with a limit of requests per second, for all its workers together: the seconds
-- until the first one.
UPDATE webflow.destinations
SET next_slot_at = greatest(next_slot_at, clock_timestamp()) + make_interval(secs => %(slots)s * %(seconds_apart)s)
WHERE destination = %(destination)s
RETURNING extract(epoch FROM next_slot_at - clock_timestamp())::float8 - %(slots)s * %(seconds_apart)s AS seconds
