-- Merges a chunk of judged source rows into the ledger, and counts what it met there.
--
-- A new row is added, unless it is beside what the run records. A row that is there is judged again, with its user, unless a
-- request for it has left or may have: then the extraction keeps the source's values, and the conversion stays. What lies
-- outside the window of the run, or is too old, changes only where the source says something else than before. An expired row
-- follows its source, but stays expired; a row that expired while it waited says so. Both go by what the row was before this
-- extraction. Of several rows of one extraction, the one stands that rules/versions.py would choose if they came in one chunk.
-- If another run adds the same conversion at the same moment, the statement fails on the unique action_id, and is to be repeated.
WITH met AS MATERIALIZED (
    SELECT
        s.*,
        c.id AS conversion,
        c.state AS was,
        c.attempts,
        jsonb_build_object(
            'state', c.state, 'time', c.action_timestamp_ms, 'value', c.value, 'key', c.identity_key, 'detail', c.detail,
            'domain', c.user_domain, 'user', CASE WHEN c.user_id NOT LIKE 'sha256:%%' THEN c.user_id END
        ) AS before,
        e.conversion IS NOT NULL AS again,
        e.value AS value_before,
        e.alike AS alike_before,
        e.rank AS rank_before,
        e.action_timestamp_ms AS moment_before,
        {is_final} AS is_out,
        coalesce(e.was ->> 'state', c.state) AS state_before,
        coalesce(e.was ->> 'state', c.state) = 'expired' AND s.state IN ('expired', 'rejected') AS is_past,
        coalesce(e.was ->> 'state', c.state) IN ('ready', 'held', 'future', 'withdrawn')
            AND s.state = 'expired'
            AND coalesce((e.was ->> 'time')::bigint, c.action_timestamp_ms) < %(oldest_ms)s AS expired_here,
        c.forgotten_at IS NULL AND (
            (s.action_timestamp_ms, s.value, s.detail) IS DISTINCT FROM (c.action_timestamp_ms, c.value, c.detail) OR NOT {is_same_key}
        ) AS differs,
        c.forgotten_at IS NOT NULL OR (s.action_timestamp_ms, s.value, s.identity_key, s.detail)
            IS NOT DISTINCT FROM (e.action_timestamp_ms, e.value, e.identity_key, e.detail) AS is_alike,
        (
            s.rank, coalesce(s.action_timestamp_ms, 9e18), coalesce(s.value, 'Infinity'),
            s.identity_key IS NULL, coalesce(s.identity_key, '') COLLATE "C", coalesce(s.detail, '') COLLATE "C"
        ) < (
            e.rank, coalesce(e.action_timestamp_ms, 9e18), coalesce(e.value, 'Infinity'),
            e.identity_key IS NULL, coalesce(e.identity_key, '') COLLATE "C", coalesce(e.detail, '') COLLATE "C"
        ) AS is_better,
        s.beside IS NULL AND CASE
            WHEN c.state = 'withdrawn' THEN true
            WHEN c.state = 'rejected' AND c.reason LIKE 'refused\_%%' THEN
                c.refused_with <> %(config_digest)s AND s.state IN ('ready', 'held', 'future')
            WHEN s.state = 'ready' THEN
                c.state IN ('held', 'future', 'rejected')
                OR c.state = 'ready' AND (s.user_domain, s.user_id) IS DISTINCT FROM (c.user_domain, c.user_id)
            WHEN s.state = 'held' THEN c.state IN ('ready', 'future', 'rejected')
            WHEN s.state = 'future' THEN c.state = 'rejected'
            WHEN s.state = 'rejected' THEN c.state IN ('ready', 'held', 'future') OR c.state = 'rejected' AND c.reason <> s.reason
            ELSE false
        END AS is_judged_anew
    FROM pg_temp.staged s
    LEFT JOIN webflow.conversions c ON c.action_id = s.action_id
    -- The rows that this extraction has kept so far. OFFSET 0 makes PostgreSQL look up one row at a time by key; a plain
    -- join reads the whole extraction.
    LEFT JOIN LATERAL (
        SELECT
            conversion, alike, value, rank, was,
            CASE WHEN is_kept THEN x.action_timestamp_ms ELSE c.action_timestamp_ms END AS action_timestamp_ms,
            CASE WHEN is_kept THEN x.identity_key WHEN {is_same_key} THEN s.identity_key ELSE c.identity_key END AS identity_key,
            CASE WHEN is_kept THEN x.detail ELSE c.detail END AS detail
        FROM webflow.extracted x
        WHERE extraction = %(extraction)s AND conversion = c.id
        OFFSET 0
    ) e ON true
), judged AS (
    UPDATE webflow.conversions c
    SET action_timestamp_ms = m.action_timestamp_ms,
        value = m.value,
        identity_key = CASE
            WHEN m.is_past AND c.identity_key LIKE 'sha256:%%' THEN webflow.hashed_key(c.action_id, m.identity_key) ELSE m.identity_key
        END,
        detail = m.detail,
        user_domain = CASE WHEN m.is_past THEN c.user_domain ELSE m.user_domain END,
        user_id = CASE WHEN m.is_past THEN c.user_id ELSE m.user_id END,
        state = CASE WHEN m.is_past THEN c.state ELSE m.state END,
        reason = CASE
            WHEN m.is_past THEN c.reason
            WHEN m.expired_here THEN CASE WHEN m.state_before = 'held' THEN 'expired_unidentified' ELSE 'expired_unsent' END
            ELSE m.reason
        END,
        settled_at = CASE WHEN m.is_past THEN c.settled_at WHEN m.state IN ('rejected', 'expired') THEN %(now)s END,
        run_id = CASE WHEN m.is_past THEN c.run_id ELSE %(run_id)s END,
        failures = 0,
        retry_at = NULL,
        changed_after_sent_at = NULL
    FROM met m
    WHERE c.id = m.conversion
      -- A push of another run may have sent the row since met looked at it, and given it back in doubt: met is not looked at
      -- anew, but these are.
      AND c.state = m.was
      AND c.attempts = m.attempts
      AND NOT m.is_out
      AND CASE WHEN m.again THEN m.is_better AND NOT m.is_alike ELSE m.differs OR m.is_judged_anew END
    RETURNING c.id
), added AS (
    INSERT INTO webflow.conversions (
        destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value, identity_key,
        user_domain, user_id, state, reason, detail, first_seen_at, settled_at, run_id
    )
    SELECT %(destination)s, %(source)s, event_name, conversion_id, action_id, action_timestamp_ms, value, identity_key,
        user_domain, user_id, state, reason, detail, %(now)s, CASE WHEN state IN ('rejected', 'expired') THEN %(now)s END, %(run_id)s
    FROM met
    WHERE conversion IS NULL AND beside IS NULL
    RETURNING id, action_id
), recorded AS (
    INSERT INTO webflow.extracted (extraction, conversion, value, alike, rank, is_new)
    SELECT %(extraction)s, a.id, m.value, m.alike, m.rank, true FROM added a JOIN met m ON m.action_id = a.action_id
), stands AS (
    -- Where the ledger was not to follow, what the source says is kept with the extraction.
    SELECT m.*, m.differs AND j.id IS NULL AS is_kept, j.id IS NOT NULL AS is_changed
    FROM met m
    LEFT JOIN judged j ON j.id = m.conversion
    WHERE m.conversion IS NOT NULL AND (m.beside IS NULL OR m.differs)
), recorded_again AS (
    INSERT INTO webflow.extracted (
        extraction, conversion, value, alike, rank, is_kept, action_timestamp_ms, identity_key, detail, was
    )
    SELECT %(extraction)s, conversion, value, alike, rank, is_kept,
        CASE WHEN is_kept THEN action_timestamp_ms END, CASE WHEN is_kept THEN identity_key END, CASE WHEN is_kept THEN detail END,
        CASE WHEN is_changed THEN before END
    FROM stands
    WHERE NOT again
), replaced AS (
    UPDATE webflow.extracted e
    SET value = s.value,
        alike = s.alike,
        rank = s.rank,
        is_kept = s.is_kept,
        action_timestamp_ms = CASE WHEN s.is_kept THEN s.action_timestamp_ms END,
        identity_key = CASE WHEN s.is_kept THEN s.identity_key END,
        detail = CASE WHEN s.is_kept THEN s.detail END,
        was = coalesce(e.was, CASE WHEN s.is_changed AND NOT e.is_new THEN s.before END)
    FROM stands s
    WHERE e.extraction = %(extraction)s AND e.conversion = s.conversion AND s.again AND s.is_better AND NOT s.is_alike
), counted AS (
    UPDATE webflow.extracted e
    SET alike = e.alike + m.alike
    FROM met m
    WHERE e.extraction = %(extraction)s AND e.conversion = m.conversion AND m.again AND m.is_alike AND m.beside IS NULL
)
SELECT
    count(*) FILTER (WHERE meets_recorded) AS again_rows,
    coalesce(sum(CASE WHEN stands_now THEN value_before ELSE value END) FILTER (WHERE meets_recorded), 0) AS again_value,
    coalesce(sum(conflicting), 0)::bigint AS conflicting_rows,
    coalesce(sum(conflicting * coalesce(CASE WHEN stands_now THEN value_before ELSE value END, 0)), 0) AS conflicting_value,
    coalesce(sum(followed) FILTER (WHERE beside_of = 'outside'), 0)::bigint AS outside_rows,
    coalesce(sum(followed_value) FILTER (WHERE beside_of = 'outside'), 0) AS outside_value,
    coalesce(sum(followed) FILTER (WHERE beside_of = 'too_old'), 0)::bigint AS too_old_rows,
    coalesce(sum(followed_value) FILTER (WHERE beside_of = 'too_old'), 0) AS too_old_value,
    count(*) FILTER (WHERE was = 'withdrawn' AND NOT is_out AND NOT again AND beside IS NULL) AS returned_rows,
    count(*) FILTER (WHERE is_looked_up) AS had_user_rows,
    count(*) FILTER (WHERE is_looked_up AND state = 'held') AS lost_user_rows
FROM (
    SELECT
        *,
        is_better AND NOT is_alike AS stands_now,
        again AND beside IS NULL AND rank_before < %(beside_rank)s AS meets_recorded,
        -- A row beside what the run records counts as recorded while the ledger follows it, and as beside again once a row that
        -- is recorded takes its place.
        CASE
            WHEN conversion IS NULL THEN 0
            WHEN beside IS NOT NULL THEN (NOT again AND differs)::integer
            WHEN again AND rank_before >= %(beside_rank)s THEN -1
            ELSE 0
        END AS followed,
        CASE
            WHEN conversion IS NULL THEN 0
            WHEN beside IS NOT NULL AND NOT again AND differs THEN coalesce(value, 0)
            WHEN beside IS NOT NULL AND again AND is_better AND NOT is_alike THEN coalesce(value, 0) - coalesce(value_before, 0)
            WHEN beside IS NULL AND again AND rank_before >= %(beside_rank)s THEN -coalesce(value_before, 0)
            ELSE 0
        END AS followed_value,
        CASE
            WHEN beside IS NOT NULL THEN beside
            WHEN moment_before < %(oldest_recorded_ms)s THEN 'too_old'
            ELSE 'outside'
        END AS beside_of,
        was = 'ready' AND NOT is_out AND NOT again AND NOT differs AND beside IS NULL AS is_looked_up,
        CASE
            WHEN NOT again OR is_alike OR beside IS NOT NULL OR rank_before >= %(beside_rank)s THEN 0
            WHEN is_better THEN alike_before
            ELSE alike
        END AS conflicting
    FROM met
) seen
