-- Brings a chunk of judged source rows into the ledger, and says what it met there.
--
-- A row that is new is added. A row that was there is judged again, unless a request for it has left or may
-- have: then a change is noted, and nothing else happens. Within one extraction the earliest moment stands.
-- A user that was found stays, as long as the source says the same. If another run adds the same conversion at
-- the same moment, the statement fails on the unique action_id, and is to be repeated.
WITH met AS MATERIALIZED (
    SELECT
        s.*,
        c.id AS conversion,
        c.state AS was,
        e.value_before IS NOT NULL AS again,
        nullif(e.value_before, 'NaN') AS value_before,
        c.state IN ('sending', 'accepted')
            OR c.attempts_in_doubt > 0
            OR coalesce(c.reason, '') IN ('echo_mismatch', 'written_off') AS is_out,
        (s.action_timestamp_ms, s.value, s.identity_key, s.detail)
            IS DISTINCT FROM (c.action_timestamp_ms, c.value, c.identity_key, c.detail) AS differs,
        (coalesce(s.action_timestamp_ms, 9e18), s.state = 'rejected', coalesce(s.value, 'Infinity'), coalesce(s.identity_key, ''))
            < (coalesce(c.action_timestamp_ms, 9e18), c.state = 'rejected', coalesce(c.value, 'Infinity'), coalesce(c.identity_key, ''))
            AS is_earlier,
        CASE
            WHEN c.state = 'rejected' AND c.reason LIKE 'refused\_%%' THEN
                c.refused_with <> %(configuration)s AND s.state IN ('ready', 'held', 'future')
            WHEN s.state = 'ready' THEN c.state IN ('held', 'future', 'rejected')
            WHEN s.state = 'held' THEN c.state IN ('future', 'rejected')
            WHEN s.state = 'future' THEN c.state = 'rejected'
            WHEN s.state = 'rejected' THEN c.state IN ('ready', 'held', 'future') OR c.state = 'rejected' AND c.reason <> s.reason
            ELSE false
        END AS is_judged_anew
    FROM pg_temp.staged s
    LEFT JOIN webflow.conversions c ON c.action_id = s.action_id
    -- OFFSET 0 keeps this a look-up by key, a row at a time: as a plain join it reads the whole extraction.
    LEFT JOIN LATERAL (
        SELECT coalesce(value, 'NaN') AS value_before
        FROM webflow.extracted
        WHERE extraction = %(extraction)s AND conversion = c.id
        OFFSET 0
    ) e ON true
), judged AS (
    UPDATE webflow.conversions c
    SET action_timestamp_ms = m.action_timestamp_ms,
        value = m.value,
        identity_key = m.identity_key,
        user_domain = m.user_domain,
        user_id = m.user_id,
        state = m.state,
        reason = m.reason,
        detail = m.detail,
        failures = 0,
        retry_at = NULL,
        settled_at = CASE WHEN m.state IN ('rejected', 'expired') THEN %(now)s END,
        run_id = %(run_id)s
    FROM met m
    WHERE c.id = m.conversion
      AND c.state = m.was
      AND NOT m.is_out
      AND CASE
              WHEN m.again THEN m.is_earlier
              WHEN m.differs THEN NOT (m.was = 'expired' AND m.state IN ('expired', 'rejected'))
              ELSE m.is_judged_anew
          END
    RETURNING c.id
), changed AS (
    UPDATE webflow.conversions c
    SET changed_after_sent_at = %(now)s
    FROM met m
    WHERE c.id = m.conversion AND m.is_out AND m.differs AND NOT m.again AND c.changed_after_sent_at IS NULL
    RETURNING c.id
), noted AS (
    INSERT INTO webflow.history (conversion, what, detail, run_id)
    SELECT c.id, 'changed_after_sent', concat_ws('; ',
        CASE WHEN m.action_timestamp_ms IS DISTINCT FROM o.action_timestamp_ms
             THEN format('time %%s, was %%s', m.action_timestamp_ms, o.action_timestamp_ms) END,
        CASE WHEN m.value IS DISTINCT FROM o.value THEN format('value %%s, was %%s', m.value, o.value) END,
        CASE WHEN m.identity_key IS DISTINCT FROM o.identity_key THEN 'another identity key' END), %(run_id)s
    FROM changed c
    JOIN met m ON m.conversion = c.id
    JOIN webflow.conversions o ON o.id = c.id
), added AS (
    INSERT INTO webflow.conversions (
        destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value, identity_key,
        user_domain, user_id, state, reason, detail, first_seen_at, settled_at, run_id
    )
    SELECT %(destination)s, %(source)s, event_name, conversion_id, action_id, action_timestamp_ms, value, identity_key,
        user_domain, user_id, state, reason, detail, %(now)s, CASE WHEN state IN ('rejected', 'expired') THEN %(now)s END, %(run_id)s
    FROM met
    WHERE conversion IS NULL
    RETURNING id, value
), recorded AS (
    INSERT INTO webflow.extracted (extraction, conversion, value)
    SELECT %(extraction)s, id, value FROM added
    UNION ALL
    SELECT %(extraction)s, conversion, value FROM met WHERE conversion IS NOT NULL AND NOT again
), replaced AS (
    UPDATE webflow.extracted e
    SET value = m.value
    FROM met m
    WHERE e.extraction = %(extraction)s AND e.conversion = m.conversion AND m.again AND m.is_earlier
)
SELECT
    count(*) FILTER (WHERE again) AS again_rows,
    coalesce(sum(CASE WHEN is_earlier THEN value_before ELSE value END) FILTER (WHERE again), 0) AS again_value,
    count(*) FILTER (WHERE again AND differs) AS conflicting_rows,
    count(*) FILTER (WHERE is_out AND differs AND NOT again) AS changed_rows
FROM met
