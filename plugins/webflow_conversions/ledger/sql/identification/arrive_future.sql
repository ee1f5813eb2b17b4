-- What lay in the future and is due now, of a destination's sources in the window of the run.
UPDATE webflow.conversions
SET state = 'held', reason = 'unknown_user'
WHERE state = 'future'
  AND destination = %(destination)s
  AND source = ANY (%(sources)s)
  AND action_timestamp_ms >= %(start_ms)s AND action_timestamp_ms < %(end_ms)s AND action_timestamp_ms <= %(latest_ms)s
RETURNING id
