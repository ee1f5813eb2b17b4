-- The destinations.
SELECT destination FROM webflow.destinations
