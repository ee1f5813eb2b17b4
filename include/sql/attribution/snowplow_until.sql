-- The moment up to which Snowplow's events are loaded, and the one from which on. Events of the last 5 minutes may still be on
-- their way.
SELECT
    MAX(collector_tstamp) - INTERVAL '5 minutes' AS complete_until,
    MIN(collector_tstamp) AS complete_from
FROM atomic.events
WHERE collector_tstamp < CAST(:until AS timestamptz) AT TIME ZONE 'UTC'
