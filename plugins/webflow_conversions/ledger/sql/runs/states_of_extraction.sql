-- Where the conversions of an extraction stand now, and the verdicts on the accepted ones with the narrowest reading that credits
-- them, with the money that was read; state is null for what is missing.
-- Of the window is what happened within that of the run; new is what this run brought into its state.
-- Altered conversions have another value in the ledger, although it was to follow this extraction, and no later extraction
-- touched them.
SELECT
    state,
    reason,
    attribution,
    attribution_reason,
    reading,
    count(*) AS rows,
    coalesce(sum(was_read), 0) AS value,
    count(*) FILTER (WHERE is_of_window) AS window_rows,
    coalesce(sum(was_read) FILTER (WHERE is_of_window), 0) AS window_value,
    count(*) FILTER (WHERE is_new) AS new_rows,
    coalesce(sum(was_read) FILTER (WHERE is_new), 0) AS new_value,
    count(*) FILTER (WHERE is_altered) AS altered_rows,
    coalesce(sum(was_read) FILTER (WHERE is_altered), 0) AS altered_read_value,
    coalesce(sum(stands) FILTER (WHERE is_altered), 0) AS altered_value
FROM (
    SELECT
        c.state,
        c.reason,
        CASE WHEN c.state = 'accepted' THEN c.attribution END AS attribution,
        CASE WHEN c.state = 'accepted' THEN c.attribution_reason END AS attribution_reason,
        CASE WHEN c.state = 'accepted' THEN c.visit -> 'readings' ->> 0 END AS reading,
        e.value AS was_read,
        c.value AS stands,
        c.action_timestamp_ms >= %(start_ms)s AND c.action_timestamp_ms < %(end_ms)s AS is_of_window,
        c.run_id = %(run_id)s AS is_new,
        c.id IS NOT NULL AND c.forgotten_at IS NULL AND NOT e.is_kept AND e.value IS DISTINCT FROM c.value AND NOT EXISTS (
            SELECT FROM webflow.extracted later
            WHERE later.extraction = ANY (ARRAY(SELECT id FROM webflow.extractions WHERE id > %(extraction)s))
              AND later.conversion = e.conversion
        ) AS is_altered
    FROM webflow.extracted e
    LEFT JOIN webflow.conversions c ON c.id = e.conversion
    WHERE e.extraction = %(extraction)s AND e.beside IS NULL
) recorded
GROUP BY state, reason, attribution, attribution_reason, reading
