-- Merges a chunk of judged source rows into the ledger, and counts what it met there.
--
-- A new row is added, unless it is beside what the run records. A row that is there is judged again, with its user, unless a
-- request for it has left or may have: then the extraction keeps the source's values, and the conversion stays. What lies
-- outside the window of the run, or is too old, changes only where the source says something else than before, and counts as
-- beside all the same. An expired row follows its source, but stays expired unless its moment is corrected; a row that expired
-- while it waited says so. Of several rows of one extraction, the one stands that rules/versions.py would choose if they came
-- in one chunk: each is compared with what the conversion was before the extraction (o), and a row that says the same as before
-- gives it its former state back. If another run adds the same conversion at the same moment, the statement fails on the unique
-- action_id, and is to be repeated.
WITH met AS MATERIALIZED (
    SELECT
        s.*,
        c.id AS conversion,
        c.state AS was,
        c.attempts,
        o.state AS old_state,
        o.reason AS old_reason,
        o.identity_key LIKE 'sha256:%%' AS is_old_key_hashed,
        o.user_domain AS old_domain,
        o.user_id AS old_user,
        o.settled_at AS old_settled_at,
        o.run_id AS old_run_id,
        o.action_timestamp_ms AS old_timestamp_ms,
        (s.action_timestamp_ms, s.value, s.detail) IS NOT DISTINCT FROM (o.action_timestamp_ms, o.value, o.detail)
            AND webflow.is_same_key(c.action_id, s.identity_key, o.identity_key)
            AND o.state IS NOT NULL AS is_as_before,
        (c.action_timestamp_ms, c.value, c.identity_key, c.detail)
            IS NOT DISTINCT FROM (o.action_timestamp_ms, o.value, o.identity_key, o.detail) AS stood_as_before,
        e.conversion IS NOT NULL AS again,
        e.conversion IS NOT NULL AND e.beside IS NULL AS was_recorded,
        e.value AS value_before,
        e.alike AS alike_before,
        {is_final} AS is_out,
        o.state = 'expired' AND (
            s.state = 'expired' OR s.state = 'rejected' AND coalesce(s.action_timestamp_ms, %(oldest_ms)s - 1) < %(oldest_ms)s
        ) AS is_past,
        o.state IN ('ready', 'held', 'future', 'withdrawn') AND s.state = 'expired' AND o.action_timestamp_ms < %(oldest_ms)s
            AS expired_here,
        (s.user_domain, s.user_id) IS NOT DISTINCT FROM (c.user_domain, c.user_id) AS has_same_user,
        c.forgotten_at IS NULL AND (
            (s.action_timestamp_ms, s.value, s.detail) IS DISTINCT FROM (c.action_timestamp_ms, c.value, c.detail)
            OR NOT webflow.is_same_key(c.action_id, s.identity_key, c.identity_key)
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
            WHEN o.state = 'withdrawn' THEN true
            WHEN o.state = 'rejected' AND o.reason LIKE 'refused\_%%' THEN
                c.refused_with <> %(fingerprint)s AND s.state IN ('ready', 'held', 'future')
            WHEN s.state = 'ready' THEN
                o.state IN ('held', 'future', 'rejected')
                OR o.state = 'ready' AND (s.user_domain, s.user_id) IS DISTINCT FROM (o.user_domain, o.user_id)
            WHEN s.state = 'held' THEN o.state IN ('ready', 'future', 'rejected') OR o.state = 'held' AND o.reason <> s.reason
            WHEN s.state = 'future' THEN o.state = 'rejected'
            WHEN s.state = 'rejected' THEN o.state IN ('ready', 'held', 'future') OR o.state = 'rejected' AND o.reason <> s.reason
            ELSE false
        END AS is_judged_anew
    FROM pg_temp.staged s
    JOIN webflow.conversions c ON c.action_id = s.action_id
    -- The rows that this extraction has kept so far. OFFSET 0 makes PostgreSQL look up one row at a time by key; a plain
    -- join reads the whole extraction.
    LEFT JOIN LATERAL (
        SELECT
            conversion, alike, value, rank, beside, is_new, was,
            CASE WHEN is_kept THEN x.action_timestamp_ms ELSE c.action_timestamp_ms END AS action_timestamp_ms,
            CASE
                WHEN is_kept THEN x.identity_key
                WHEN webflow.is_same_key(c.action_id, s.identity_key, c.identity_key) THEN s.identity_key
                ELSE c.identity_key
            END AS identity_key,
            CASE WHEN is_kept THEN x.detail ELSE c.detail END AS detail
        FROM webflow.extracted x
        WHERE extraction = %(extraction)s AND conversion = c.id
        OFFSET 0
    ) e ON true
    LEFT JOIN LATERAL (
        SELECT c.state, c.reason, c.action_timestamp_ms, c.value, c.identity_key, c.detail, c.user_domain, c.user_id, c.settled_at, c.run_id
        WHERE e.was IS NULL AND e.is_new IS NOT TRUE
        UNION ALL
        SELECT w.*
        FROM jsonb_to_record(e.was) w (
            state text, reason text, action_timestamp_ms bigint, value numeric, identity_key text, detail text, user_domain text,
            user_id text, settled_at timestamptz, run_id text
        )
        WHERE e.was IS NOT NULL
    ) o ON true
), judged AS (
    UPDATE webflow.conversions c
    SET action_timestamp_ms = m.action_timestamp_ms,
        value = m.value,
        identity_key = CASE
            WHEN m.stays AND m.is_old_key_hashed THEN webflow.hashed_key(c.action_id, m.identity_key) ELSE m.identity_key
        END,
        detail = m.detail,
        user_domain = CASE WHEN m.stays THEN m.old_domain ELSE m.user_domain END,
        user_id = CASE WHEN m.stays THEN m.old_user ELSE m.user_id END,
        state = CASE WHEN m.stays THEN m.old_state ELSE m.state END,
        reason = CASE
            WHEN m.stays THEN m.old_reason
            WHEN m.expired_here AND c.attempts_in_doubt > 0 THEN 'expired_in_doubt'
            WHEN m.expired_here AND m.old_reason = 'unknown_user' THEN 'expired_unidentified'
            WHEN m.expired_here
                AND webflow.was_rehearsed(m.old_run_id, c.source, m.old_timestamp_ms, %(now)s - to_timestamp(%(oldest_ms)s / 1000.0))
                THEN 'expired_in_rehearsal'
            WHEN m.expired_here THEN 'expired_unsent'
            ELSE m.reason
        END,
        settled_at = CASE WHEN m.stays THEN m.old_settled_at WHEN m.state IN ('rejected', 'expired') THEN %(now)s END,
        run_id = CASE WHEN m.stays THEN m.old_run_id ELSE %(run_id)s END,
        failures = 0,
        retry_at = NULL,
        changed_after_sent_at = NULL,
        -- Another moment, person or user is another question.
        attribution = CASE WHEN m.is_same_question THEN c.attribution END,
        attribution_reason = CASE WHEN m.is_same_question THEN c.attribution_reason END,
        attribution_judged_at = CASE WHEN m.is_same_question THEN c.attribution_judged_at END,
        visit_id = CASE WHEN m.is_same_question THEN c.visit_id END,
        visit = CASE WHEN m.is_same_question THEN c.visit END,
        minutes_from_activity = CASE WHEN m.is_same_question THEN c.minutes_from_activity END
    FROM (
        SELECT *, NOT differs AND (stays OR has_same_user) AS is_same_question
        FROM (SELECT *, coalesce(is_past OR is_as_before AND NOT is_judged_anew, false) AS stays FROM met) s
    ) m
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
    FROM pg_temp.staged s
    WHERE beside IS NULL AND NOT EXISTS (SELECT FROM webflow.conversions c WHERE c.action_id = s.action_id)
    RETURNING id, action_id
), recorded AS (
    INSERT INTO webflow.extracted (extraction, conversion, value, alike, rank, is_new)
    SELECT %(extraction)s, a.id, s.value, s.alike, s.rank, true FROM added a JOIN pg_temp.staged s ON s.action_id = a.action_id
), stands AS (
    -- Where the ledger was not to follow, what the source says is kept with the extraction.
    SELECT
        m.*,
        m.differs AND j.id IS NULL AS is_kept,
        -- What the conversion was before this statement, whose own changes are not seen here.
        CASE WHEN j.id IS NOT NULL THEN (
            SELECT jsonb_build_object(
                'state', c.state, 'reason', c.reason, 'action_timestamp_ms', c.action_timestamp_ms, 'value', c.value,
                'identity_key', c.identity_key, 'detail', c.detail, 'user_domain', c.user_domain, 'user_id', c.user_id,
                'settled_at', c.settled_at, 'run_id', c.run_id
            )
            FROM webflow.conversions c
            WHERE c.id = j.id
        ) END AS before
    FROM met m
    LEFT JOIN judged j ON j.id = m.conversion
), recorded_again AS (
    INSERT INTO webflow.extracted (
        extraction, conversion, value, alike, rank, beside, is_kept, action_timestamp_ms, identity_key, detail, was
    )
    SELECT %(extraction)s, conversion, value, alike, rank, beside, is_kept,
        CASE WHEN is_kept THEN action_timestamp_ms END, CASE WHEN is_kept THEN identity_key END, CASE WHEN is_kept THEN detail END,
        before
    FROM stands
    WHERE NOT again
), replaced AS (
    UPDATE webflow.extracted e
    SET value = s.value,
        alike = s.alike,
        rank = s.rank,
        beside = s.beside,
        is_kept = s.is_kept,
        action_timestamp_ms = CASE WHEN s.is_kept THEN s.action_timestamp_ms END,
        identity_key = CASE WHEN s.is_kept THEN s.identity_key END,
        detail = CASE WHEN s.is_kept THEN s.detail END,
        was = coalesce(e.was, CASE WHEN NOT e.is_new THEN s.before END)
    FROM stands s
    WHERE e.extraction = %(extraction)s AND e.conversion = s.conversion AND s.again AND s.is_better AND NOT s.is_alike
), counted AS (
    UPDATE webflow.extracted e
    SET alike = e.alike + m.alike
    FROM met m
    WHERE e.extraction = %(extraction)s AND e.conversion = m.conversion AND m.again AND m.is_alike AND m.beside IS NULL
)
SELECT
    count(*) FILTER (WHERE was_recorded AND beside IS NULL) AS again_rows,
    coalesce(sum(CASE WHEN stands_now THEN value_before ELSE value END) FILTER (WHERE was_recorded AND beside IS NULL), 0)
        AS again_value,
    coalesce(sum(conflicting), 0)::bigint AS conflicting_rows,
    coalesce(sum(conflicting * coalesce(CASE WHEN stands_now THEN value_before ELSE value END, 0)), 0) AS conflicting_value,
    count(*) FILTER (WHERE old_state = 'withdrawn' AND NOT is_out AND NOT was_recorded AND beside IS NULL) AS returned_rows,
    count(*) FILTER (WHERE is_looked_up) - count(*) FILTER (WHERE was_looked_up) AS had_user_rows,
    count(*) FILTER (WHERE is_looked_up AND state = 'held') - count(*) FILTER (WHERE was_looked_up AND was = 'held')
        AS lost_user_rows
FROM (
    SELECT
        *,
        is_better AND NOT is_alike AS stands_now,
        old_state = 'ready' AND NOT is_out AND is_as_before AND beside IS NULL
            AND (NOT was_recorded OR is_better AND NOT is_alike) AS is_looked_up,
        -- What a better row takes the place of.
        old_state = 'ready' AND NOT is_out AND was_recorded AND stood_as_before AND is_better AND NOT is_alike AS was_looked_up,
        CASE
            WHEN NOT was_recorded OR is_alike OR beside IS NOT NULL THEN 0
            WHEN is_better THEN alike_before
            ELSE alike
        END AS conflicting
    FROM met
) seen
