-- What lay in the future and is due now, of a destination's sources in the window of the run.
UPDATE webflow.conversions c
SET state = 'held', reason = 'unknown_user'
WHERE state = 'future'
  AND {in_scope}
RETURNING id
