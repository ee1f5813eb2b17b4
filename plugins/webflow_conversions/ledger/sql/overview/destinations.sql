-- How long the API has asked to be left alone.
SELECT destination, paused_until FROM webflow.destinations WHERE paused_until > %(now)s
