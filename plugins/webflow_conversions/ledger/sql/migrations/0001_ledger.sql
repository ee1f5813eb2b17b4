CREATE TABLE webflow.conversions (
    id                    bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000) PRIMARY KEY,
    destination           text NOT NULL,
    source                text NOT NULL,
    event_name            text,
    conversion_id         text,
    action_id             text COLLATE "C" NOT NULL UNIQUE,
    action_timestamp_ms   bigint,
    value                 numeric(15, 2),
    identity_key          text,
    user_domain           text,
    user_id               text,
    state                 text NOT NULL
        CHECK (state IN ('ready', 'held', 'future', 'sending', 'accepted', 'rejected', 'expired', 'withdrawn')),
    reason                text,
    detail                text,
    attempts              integer NOT NULL DEFAULT 0,
    attempts_in_doubt     integer NOT NULL DEFAULT 0,
    failures              integer NOT NULL DEFAULT 0,
    retry_at              timestamptz,
    http_status           smallint,
    trouble               text,
    push_id               bigint,
    refused_with          text,
    first_seen_at         timestamptz NOT NULL,
    sent_at               timestamptz,
    settled_at            timestamptz,
    changed_after_sent_at timestamptz,
    forgotten_at          timestamptz,
    attribution           text CHECK (attribution IN ('will_count', 'may_count', 'will_not_count', 'unknown')),
    attribution_reason    text,
    attribution_judged_at timestamptz,
    visit_id              text,
    visit                 jsonb,
    minutes_from_activity integer,
    run_id                text NOT NULL,
    CONSTRAINT sendable_is_whole CHECK (
        state NOT IN ('ready', 'sending', 'accepted')
        OR state = 'accepted' AND forgotten_at IS NOT NULL
        OR num_nonnulls(event_name, conversion_id, action_timestamp_ms, user_domain, user_id) = 5
    )
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

COMMENT ON TABLE webflow.conversions IS 'One row a conversion: where it stands, and why.';
COMMENT ON COLUMN webflow.conversions.action_id IS 'The actionId sent to Webflow, derived from (destination, source, event_name, conversion_id) alone.';
COMMENT ON COLUMN webflow.conversions.identity_key IS
    'The key to the known users; people_retention_days after the conversion finished, sha256: and a hash of action_id and key.';
COMMENT ON COLUMN webflow.conversions.user_id IS
    'The user ID that is sent; people_retention_days after the conversion finished, sha256: and its hash.';
COMMENT ON COLUMN webflow.conversions.attempts IS 'Requests that left, or may have left.';
COMMENT ON COLUMN webflow.conversions.attempts_in_doubt IS 'Attempts without a known outcome: if another attempt followed, the conversion may have gone out more than once.';
COMMENT ON COLUMN webflow.conversions.detail IS 'What the source gave where it is wrong.';
COMMENT ON COLUMN webflow.conversions.trouble IS 'How the last attempt went wrong.';
COMMENT ON COLUMN webflow.conversions.failures IS 'Attempts of the run run_id that are to be repeated.';
COMMENT ON COLUMN webflow.conversions.push_id IS 'The push that claimed the row last; a sending row of a push that is not alive is in doubt.';
COMMENT ON COLUMN webflow.conversions.refused_with IS 'Digest of the configuration with which the API refused the row.';
COMMENT ON COLUMN webflow.conversions.forgotten_at IS
    'When the person behind it was removed: what is left is the action_id, the state, the moment and the value, so that it is never sent again and the counts stay.';
COMMENT ON COLUMN webflow.conversions.run_id IS 'The run that brought the row into its present state.';

-- The queue: small whatever the history, in the order of expiry. With what the page adds up, so that it need not look at each
-- conversion; the last trouble is apart, since few have one, and it is a text.
CREATE INDEX conversions_ready ON webflow.conversions (destination, action_timestamp_ms, id) INCLUDE (source, value) WHERE state = 'ready';
CREATE INDEX conversions_troubled ON webflow.conversions (destination, action_timestamp_ms) WHERE state = 'ready' AND trouble IS NOT NULL;
CREATE INDEX conversions_waiting ON webflow.conversions (state, action_timestamp_ms, id) INCLUDE (source, value)
    WHERE state IN ('held', 'future');
CREATE INDEX conversions_sending ON webflow.conversions (push_id) WHERE state = 'sending';

-- What a run has sent: by the pushes that it had. With the ID, so that retention can stop and go on within a push.
CREATE INDEX conversions_accepted ON webflow.conversions (push_id, id) WHERE state = 'accepted';

-- What people look for, and what costs the push next to nothing. A conversion ID is found by its action ID, whose order
-- by bytes puts the conversions of a source and event name together.
CREATE INDEX conversions_turned_away ON webflow.conversions (state, settled_at, id) WHERE state IN ('rejected', 'expired', 'withdrawn');
-- What was rejected or withdrawn after it had waited, or could not be sent as it is, by the moment of that: what was too old when it was
-- first read may be a month of conversions, and nobody decided about it.
CREATE INDEX conversions_decided ON webflow.conversions (settled_at) INCLUDE (source, state, reason, value)
    WHERE state IN ('rejected', 'expired', 'withdrawn') AND reason IS DISTINCT FROM 'expired_before_seen';
CREATE INDEX conversions_doubted ON webflow.conversions (id) WHERE attempts_in_doubt > 0;
CREATE INDEX conversions_changed ON webflow.conversions (id) WHERE changed_after_sent_at IS NOT NULL;
CREATE INDEX conversions_user ON webflow.conversions USING hash (user_id) WHERE state IN ('accepted', 'rejected', 'expired', 'withdrawn');
CREATE INDEX conversions_key ON webflow.conversions USING hash (identity_key) WHERE state IN ('accepted', 'rejected', 'expired', 'withdrawn');
-- The rows of a night lie together, so some kilobytes tell in which blocks a day is.
CREATE INDEX conversions_happened ON webflow.conversions USING brin (action_timestamp_ms int8_minmax_multi_ops);

-- What people look for by verdict.
CREATE INDEX conversions_judged ON webflow.conversions (attribution, id) WHERE attribution IS NOT NULL;

-- Verdicts that more data may still change.
CREATE INDEX conversions_unsettled ON webflow.conversions (action_timestamp_ms, id) WHERE attribution <> 'will_count';

COMMENT ON COLUMN webflow.conversions.attribution IS
    'Whether Webflow will credit it to a variation that the visitor saw; null where nothing was judged (docs/attribution.md).';
COMMENT ON COLUMN webflow.conversions.visit_id IS
    'The session that credits it, by the narrowest reading; null from people_retention_days after the conversion finished.';
COMMENT ON COLUMN webflow.conversions.visit IS
    'That session: started_at, last_active_at and first_viewed_at in UTC milliseconds; readings, those that credit the conversion. From people_retention_days after it finished, readings alone.';
COMMENT ON COLUMN webflow.conversions.minutes_from_activity IS 'Whole minutes between the person''s last activity before it and the conversion.';

CREATE TABLE webflow.runs (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_id          text NOT NULL,
    run_id          text NOT NULL,
    run_type        text NOT NULL,
    window_start    timestamptz,
    window_end      timestamptz,
    sources         text[] NOT NULL DEFAULT '{}',
    addresses       jsonb NOT NULL DEFAULT '{}',
    config_path     text,
    config_digest   text,
    dry_run         boolean NOT NULL DEFAULT false,
    is_rehearsal    boolean NOT NULL DEFAULT false,
    is_whole        boolean NOT NULL DEFAULT false,
    forced          boolean NOT NULL DEFAULT false,
    clock_offset_ms bigint,
    currency        text CHECK (currency ~ '^[A-Z]{3}$'),
    reading         text CHECK (reading IN ('strict', 'wide', 'lenient')),
    started_at      timestamptz NOT NULL,
    approved_at      timestamptz,
    ended_at        timestamptz,
    outcome         text CHECK (outcome IN ('succeeded', 'failed')),
    notes           text[] NOT NULL DEFAULT '{}',
    hints           jsonb NOT NULL DEFAULT '{}',
    failures        jsonb NOT NULL DEFAULT '{}',
    problems        text[] NOT NULL DEFAULT '{}',
    verdict         jsonb,
    identified      jsonb NOT NULL DEFAULT '{}',
    counts          jsonb NOT NULL DEFAULT '{}',
    forecast        jsonb,
    last_extraction_before bigint NOT NULL DEFAULT 0,
    UNIQUE (dag_id, run_id),
    CONSTRAINT is_opened_with_a_window CHECK (num_nulls(window_start, window_end) IN (0, 2))
);

COMMENT ON TABLE webflow.runs IS 'One row a run: its window, and what became of the rows that it read, by source, state and reason.';
COMMENT ON COLUMN webflow.runs.window_start IS 'Null if plan refused to open the run: then failures says why.';
COMMENT ON COLUMN webflow.runs.addresses IS
    'Where its conversions go, as plan found it: url and customer_id by destination.';
COMMENT ON COLUMN webflow.runs.config_path IS 'The configuration file that plan read, on its machine.';
COMMENT ON COLUMN webflow.runs.config_digest IS
    'A short hash of the configuration file and its SQL files, as plan read them: another one means that something was changed.';
COMMENT ON COLUMN webflow.runs.is_rehearsal IS
    'It sends nothing (delivery.mode: rehearse): plan found so, or a later task of a run that was planned as live.';
COMMENT ON COLUMN webflow.runs.failures IS
    'The tasks that failed and have not succeeded since, by name and map index: task, map_index, source, destination, error, sentence, at, try_number, is_last_try.';
COMMENT ON COLUMN webflow.runs.hints IS 'Sentences that the verdict tells as notes, by cause and task.';
COMMENT ON COLUMN webflow.runs.problems IS 'Why the run is not green: the sentences of the verdict.';
COMMENT ON COLUMN webflow.runs.verdict IS
    'level (good, note, attention, failed) and findings: cause, level, source, sentence, rows, value, remedy (docs/verdicts.md).';
COMMENT ON COLUMN webflow.runs.identified IS
    'What identify found, by source: conversions that waited and were not returned (unseen, withdrawn, missing), numbers of users that were looked up again (had_user, lost_user, user_changed), keys that nearly equal a known one (near_keys of asked_keys).';
COMMENT ON COLUMN webflow.runs.is_whole IS
    'It was to send all that was due: of every source, of the whole 2 days; no dry run, no backfill.';
COMMENT ON COLUMN webflow.runs.last_extraction_before IS
    'The last extraction of the run when plan opened it anew; only those after it count. In the order in which extractions began, since each machine has its own clock.';
COMMENT ON COLUMN webflow.runs.currency IS 'The currency that the configuration names for people; the API knows none.';
COMMENT ON COLUMN webflow.runs.reading IS 'The reading of Webflow''s rule that the page''s headline follows (attribution.reading); null where nothing is judged.';
COMMENT ON COLUMN webflow.runs.clock_offset_ms IS 'The API''s Date header minus our clock, when the run began.';
COMMENT ON COLUMN webflow.runs.approved_at IS 'When the guards approved the run for sending; a push of a run that is not approved sends nothing.';

-- One row for each time that a source's query was read; complete once ended_at is there. A task that is tried
-- again begins a new one, and the last complete one of a run and source counts.
CREATE TABLE webflow.extractions (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run              bigint NOT NULL REFERENCES webflow.runs ON DELETE CASCADE,
    source           text NOT NULL,
    started_at       timestamptz NOT NULL,
    ended_at         timestamptz,
    read_rows        bigint,
    read_value       numeric,
    recorded_rows    bigint,
    recorded_value   numeric,
    duplicate_rows   bigint,
    duplicate_value  numeric,
    conflicting_rows bigint,
    conflicting_value numeric,
    outside_rows     bigint,
    outside_value    numeric,
    too_old_rows     bigint,
    too_old_value    numeric,
    changed_after_sent_rows bigint,
    returned_rows    bigint,
    had_user_rows    bigint,
    lost_user_rows   bigint
);
COMMENT ON COLUMN webflow.extractions.returned_rows IS 'Conversions that had been withdrawn because the source did not return them, and that it returned again.';
COMMENT ON COLUMN webflow.extractions.had_user_rows IS 'Conversions that were ready with a known user before it.';
COMMENT ON COLUMN webflow.extractions.lost_user_rows IS 'Those of them for which known_users no longer has a user.';
CREATE INDEX extractions_run ON webflow.extractions (run);

-- Which conversions an extraction recorded, and the value that it read. No foreign keys: they would cost a
-- lookup for each of a million rows, and reconcile looks for what is missing anyway.
CREATE TABLE webflow.extracted (
    extraction          bigint NOT NULL,
    conversion          bigint NOT NULL,
    value               numeric(15, 2),
    alike               integer NOT NULL,
    rank                smallint NOT NULL DEFAULT 0,
    beside              text,
    is_new              boolean NOT NULL DEFAULT false,
    is_kept             boolean NOT NULL DEFAULT false,
    action_timestamp_ms bigint,
    identity_key        text,
    was                 jsonb,
    detail              text,
    PRIMARY KEY (extraction, conversion)
);
CREATE INDEX extracted_kept ON webflow.extracted (extraction) WHERE is_kept;
CREATE INDEX extracted_changed ON webflow.extracted (extraction) WHERE was IS NOT NULL;

COMMENT ON COLUMN webflow.extracted.alike IS 'How many source rows said the same.';
COMMENT ON COLUMN webflow.extracted.rank IS
    'How near the source row was to being sent; of several rows of a conversion the one of the least rank stands (rules/versions.py).';
COMMENT ON COLUMN webflow.extracted.beside IS
    'Why the source row counts as none of the run, although the ledger has its conversion, which follows it: outside, too_old.';
COMMENT ON COLUMN webflow.extracted.is_new IS 'The extraction added the conversion.';
COMMENT ON COLUMN webflow.extracted.was IS
    'Where the extraction changed the conversion: what it was before, for the history and for another row of the same conversion.';
COMMENT ON COLUMN webflow.extracted.is_kept IS
    'The ledger kept what it had, since a request has left or may have; action_timestamp_ms, identity_key and detail are what the source said.';

-- One row for each time a push task ran: what it holds as a lease, and what it did.
CREATE TABLE webflow.pushes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run         bigint NOT NULL REFERENCES webflow.runs ON DELETE CASCADE,
    destination text NOT NULL,
    worker      integer NOT NULL,
    try_number  integer NOT NULL,
    host        text NOT NULL,
    pid         integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    counts      jsonb NOT NULL DEFAULT '{}'
);

COMMENT ON COLUMN webflow.pushes.expires_at IS 'The end of the lease on the rows it claimed; renewed while it lives.';
COMMENT ON COLUMN webflow.pushes.ended_at IS 'When it ended in good order, or was declared dead.';

-- What all pushes to a destination share: the pace, and the pause that the API asked for.
CREATE TABLE webflow.destinations (
    destination  text PRIMARY KEY,
    next_permit_at timestamptz NOT NULL DEFAULT '-infinity',
    paused_until timestamptz NOT NULL DEFAULT '-infinity'
);

-- What the row of a conversion alone does not tell: attempts that did not end it, changes after it was sent, actions of people.
CREATE TABLE webflow.history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversion  bigint NOT NULL REFERENCES webflow.conversions ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    what        text NOT NULL,
    http_status smallint,
    detail      text,
    run_id      text,
    person      text
);
CREATE INDEX history_conversion ON webflow.history (conversion);

-- Action log on the conversions page; each conversion that it touched has it in its history, too.
CREATE TABLE webflow.actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    person      text NOT NULL,
    action      text NOT NULL CHECK (action IN ('send_again', 'write_off', 'take_back', 'download')),
    filter      jsonb NOT NULL,
    conversions integer NOT NULL DEFAULT 0,
    outcome     jsonb NOT NULL DEFAULT '{}',
    run_id      text
);

COMMENT ON COLUMN webflow.actions.filter IS 'Which conversions the person chose, as the page''s query parameters.';
COMMENT ON COLUMN webflow.actions.conversions IS 'How many conversions it touched.';
COMMENT ON COLUMN webflow.actions.outcome IS 'What it came to: conversions by their effect.';
COMMENT ON COLUMN webflow.actions.run_id IS 'The run that was started with it.';

-- How far retention came with hashing the identity keys and user IDs of finished conversions.
CREATE TABLE webflow.hashed_people (
    state text PRIMARY KEY,
    place bigint NOT NULL,
    id    bigint NOT NULL
);

COMMENT ON COLUMN webflow.hashed_people.place IS
    'Of accepted conversions the push_id, of others settled_at in microseconds since 1970; with id, the last conversion that was hashed.';

-- What Webflow showed of a goal, one row an event name and UTC day, beside what was sent of it.
CREATE TABLE webflow.readback (
    destination    text NOT NULL,
    event_name     text NOT NULL,
    day            date NOT NULL,
    goal_id        text NOT NULL,
    conversions    bigint NOT NULL,
    accepted       bigint NOT NULL,
    accepted_users bigint NOT NULL,
    expected       jsonb NOT NULL DEFAULT '{}',
    read_at        timestamptz NOT NULL,
    PRIMARY KEY (destination, event_name, day)
);

COMMENT ON COLUMN webflow.readback.conversions IS 'Unique conversions that Webflow shows.';
COMMENT ON COLUMN webflow.readback.accepted IS 'Events of that day that Webflow had accepted before its last import; accepted_users: their users, each once.';
COMMENT ON COLUMN webflow.readback.expected IS 'Accepted unique users by the best verdict of their conversions (will_count, …), and by the reading that credits them (strict, wide, lenient).';

-- What a dry run showed of a source; kept for a day.
CREATE TABLE webflow.dry_runs (
    run     bigint NOT NULL REFERENCES webflow.runs ON DELETE CASCADE,
    source  text NOT NULL,
    at      timestamptz NOT NULL,
    preview json NOT NULL,
    PRIMARY KEY (run, source)
);

COMMENT ON COLUMN webflow.dry_runs.preview IS
    'tally of the rows read, outcomes by state and reason with examples, credited: the verdicts on what would be sent, payloads with the user ID shortened, hints. No identity key and no user ID in clear.';

-- Which Airflow this ledger belongs to, since two on one ledger would take each other's runs for their own.
CREATE TABLE webflow.deployment (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    id      text NOT NULL,
    since   timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN webflow.deployment.id IS 'The Airflow Variable webflow_deployment of the Airflow that plans its runs; at most one row.';

CREATE FUNCTION webflow.hashed_key(action_id text, identity_key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'sha256:' || encode(sha256(convert_to(action_id || ' ' || identity_key, 'UTF8')), 'hex');

COMMENT ON FUNCTION webflow.hashed_key IS
    'An identity key as it is kept of a conversion that finished long ago: enough to see whether the source still has the same.';

-- Whether the identity key that a source row says is the one that is kept of its conversion, of which only a hash may be left.
CREATE FUNCTION webflow.is_same_key(action_id text, said text, kept text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN said IS NOT DISTINCT FROM kept OR coalesce(kept = webflow.hashed_key(action_id, said), false);

-- The beginning of a user ID or an identity key, to show to people.
CREATE FUNCTION webflow.shortened(whole text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(left(whole, least(4, length(whole) / 2)) || '…', 'none');

-- Whether a conversion that waits and expires was only rehearsed: a rehearsal brought it into its present state (run_id), and no
-- live run has begun since then in time to send it: before it was older than max_age.
CREATE FUNCTION webflow.was_rehearsed(run_id text, source text, action_timestamp_ms bigint, max_age interval)
RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT FROM webflow.runs rehearsal
    WHERE rehearsal.run_id = was_rehearsed.run_id AND rehearsal.is_rehearsal AND NOT EXISTS (
        SELECT FROM webflow.runs live
        WHERE live.id > rehearsal.id AND NOT live.is_rehearsal AND NOT live.dry_run
          AND was_rehearsed.source = ANY (live.sources)
          AND to_timestamp(was_rehearsed.action_timestamp_ms / 1000.0) >= live.window_start
          AND to_timestamp(was_rehearsed.action_timestamp_ms / 1000.0) < live.window_end
          AND live.started_at < to_timestamp(was_rehearsed.action_timestamp_ms / 1000.0) + was_rehearsed.max_age
    )
);

COMMENT ON FUNCTION webflow.was_rehearsed IS 'Whether a conversion was only rehearsed when it expired.';

-- For analysts.
CREATE VIEW webflow.daily_summary AS
SELECT
    (to_timestamp(action_timestamp_ms / 1000.0) AT TIME ZONE 'UTC')::date AS day,
    destination,
    source,
    event_name,
    state,
    reason,
    count(*) AS conversions,
    coalesce(sum(value), 0) AS value,
    count(*) FILTER (WHERE state = 'accepted' AND attempts_in_doubt > 0) AS sent_more_than_once,
    count(changed_after_sent_at) AS changed_after_sent
FROM webflow.conversions
GROUP BY 1, destination, source, event_name, state, reason;

COMMENT ON VIEW webflow.daily_summary IS
    'Conversions and money by the UTC day on which they happened (null where no moment is known), and by what became of them.';
COMMENT ON COLUMN webflow.daily_summary.sent_more_than_once IS 'Accepted after an attempt whose answer was lost: Webflow may have them twice.';
