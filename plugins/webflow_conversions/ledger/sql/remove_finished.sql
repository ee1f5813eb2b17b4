DELETE FROM webflow.conversions
WHERE id = ANY (%(ids)s)
  AND state IN ('accepted', 'rejected', 'expired')
  AND first_seen_at < %(before)s
  AND (action_timestamp_ms IS NULL OR action_timestamp_ms < %(before_ms)s)
