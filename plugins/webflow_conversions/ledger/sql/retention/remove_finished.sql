-- Conversions without a moment may still be read each night: they are removed when no kept extraction has them.
DELETE FROM webflow.conversions c
WHERE id = ANY (%(ids)s)
  AND state IN ('accepted', 'rejected', 'expired', 'withdrawn')
  AND first_seen_at < %(before)s
  AND (
      action_timestamp_ms < %(before_ms)s
      OR action_timestamp_ms IS NULL AND NOT EXISTS (
          SELECT FROM webflow.extracted e
          WHERE e.extraction = ANY (ARRAY(SELECT id FROM webflow.extractions WHERE started_at >= %(kept_since)s))
            AND e.conversion = c.id
      )
  )
