-- The moment up to which the export of Google Analytics 4 to BigQuery is loaded, and the one from which on, by its daily tables.
-- Written by the documentation, not run in this project's tests. Google adds late events to a daily table for up to three days,
-- most of them of apps.
SELECT
    TIMESTAMP_MICROS(MAX(event_timestamp)) AS complete_until,
    TIMESTAMP_MICROS(MIN(event_timestamp)) AS complete_from
FROM `analytics_123456789.events_*`
WHERE NOT STARTS_WITH(_TABLE_SUFFIX, 'intraday_')
    AND event_timestamp < UNIX_MICROS(:until)
