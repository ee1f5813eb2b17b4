-- What an action came to so far.
UPDATE webflow.actions
SET conversions = conversions + %(conversions)s, outcome = coalesce(%(outcome)s, outcome)
WHERE id = %(id)s
