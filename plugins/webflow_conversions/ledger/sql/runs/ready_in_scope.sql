-- What waits to be sent in the window of a run, by source, with the last trouble that it met.
SELECT source, trouble, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
WHERE state = 'ready'
  AND destination = ANY (%(destinations)s)
  AND source = ANY (%(sources)s)
  AND action_timestamp_ms >= %(start_ms)s AND action_timestamp_ms < %(end_ms)s
GROUP BY source, trouble
