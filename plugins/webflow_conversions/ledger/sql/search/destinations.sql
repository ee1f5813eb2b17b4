-- Where conversions go to.
SELECT destination FROM webflow.destinations
