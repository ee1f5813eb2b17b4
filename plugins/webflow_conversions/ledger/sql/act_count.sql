-- What an act came to so far.
UPDATE webflow.acts
SET conversions = conversions + %(conversions)s, outcome = coalesce(%(outcome)s, outcome)
WHERE id = %(id)s
