-- Conversions without a moment, or with one far ahead, may still be read each night: they are removed when no kept extraction
-- has them.
DELETE FROM webflow.conversions c
WHERE id = ANY (%(ids)s)
  AND first_seen_at < %(before)s
  AND (
      state IN ('accepted', 'rejected', 'expired', 'withdrawn') AND action_timestamp_ms < %(before_ms)s
      OR (
          state IN ('accepted', 'rejected', 'expired', 'withdrawn') AND action_timestamp_ms IS NULL
          OR state IN ('future', 'rejected', 'withdrawn') AND action_timestamp_ms >= %(ahead_ms)s
      ) AND NOT EXISTS (
          SELECT FROM webflow.extracted e
          WHERE e.extraction = ANY (ARRAY(SELECT id FROM webflow.extractions WHERE started_at >= %(kept_since)s))
            AND e.conversion = c.id
      )
  )
