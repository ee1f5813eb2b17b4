UPDATE webflow.destinations
SET paused_until = greatest(paused_until, clock_timestamp() + make_interval(secs => %(seconds)s))
WHERE destination = %(destination)s
