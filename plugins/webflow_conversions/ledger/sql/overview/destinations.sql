-- Destinations with a pause (Retry-After), and the end of the pause.
SELECT destination, paused_until FROM webflow.destinations WHERE paused_until > %(now)s
