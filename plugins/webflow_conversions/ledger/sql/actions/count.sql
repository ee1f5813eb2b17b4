-- Adds to the number of conversions that an action touched.
UPDATE webflow.actions
SET conversions = conversions + %(conversions)s, outcome = coalesce(%(outcome)s, outcome)
WHERE id = %(id)s
