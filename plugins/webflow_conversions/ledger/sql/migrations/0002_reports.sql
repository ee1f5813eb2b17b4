-- For reports: BI tools, dbt, spreadsheets (docs/reports.md). Of a released view no column goes away or changes its meaning; new ones
-- come at the end. None leads to a person: no user, no identity key, no visit, no words of a source row.

CREATE FUNCTION webflow.milliseconds(moment timestamptz) RETURNS bigint LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN floor(extract(epoch FROM moment) * 1000)::bigint;

COMMENT ON FUNCTION webflow.milliseconds IS
    'A moment as action_timestamp_ms has it, for conditions on that column, which is the one that an index knows.';

CREATE VIEW webflow.report_conversions AS
SELECT
    id AS conversion_number,
    destination,
    source,
    event_name,
    conversion_id,
    action_id,
    action_timestamp_ms,
    to_timestamp(action_timestamp_ms / 1000.0) AS happened_at,
    (to_timestamp(action_timestamp_ms / 1000.0) AT TIME ZONE 'UTC')::date AS happened_on,
    value,
    state,
    reason,
    attempts,
    http_status,
    state = 'accepted' AND attempts_in_doubt > 0 AS is_sent_again,
    changed_after_sent_at IS NOT NULL AS is_changed_after_sent,
    attribution,
    attribution_reason,
    minutes_from_activity,
    first_seen_at,
    sent_at,
    settled_at,
    forgotten_at,
    run_id
FROM webflow.conversions;

COMMENT ON VIEW webflow.report_conversions IS 'One row a conversion: what it is, where it stands, and why.';
COMMENT ON COLUMN webflow.report_conversions.conversion_number IS 'The ledger''s number of the conversion, as in the address of its page.';
COMMENT ON COLUMN webflow.report_conversions.destination IS 'The connection of the Webflow site it goes to.';
COMMENT ON COLUMN webflow.report_conversions.source IS 'The source of the configuration it comes from.';
COMMENT ON COLUMN webflow.report_conversions.event_name IS 'The event name of the custom goal.';
COMMENT ON COLUMN webflow.report_conversions.conversion_id IS 'The ID that the source gave, such as an order number; null after the person was forgotten.';
COMMENT ON COLUMN webflow.report_conversions.action_id IS 'The actionId that Webflow gets; unique.';
COMMENT ON COLUMN webflow.report_conversions.action_timestamp_ms IS 'When it happened, in UTC milliseconds; null where the source gave no readable moment.';
COMMENT ON COLUMN webflow.report_conversions.happened_at IS 'The same moment as a timestamp.';
COMMENT ON COLUMN webflow.report_conversions.happened_on IS 'Its UTC day.';
COMMENT ON COLUMN webflow.report_conversions.value IS 'Its money, two places; null without.';
COMMENT ON COLUMN webflow.report_conversions.state IS 'Where it stands: ready, held, future, sending, accepted, rejected, expired or withdrawn.';
COMMENT ON COLUMN webflow.report_conversions.reason IS 'Why it stands there, as a code; null where the state says all.';
COMMENT ON COLUMN webflow.report_conversions.attempts IS 'Requests that left, or may have left.';
COMMENT ON COLUMN webflow.report_conversions.http_status IS 'The status of the last answer; null without one.';
COMMENT ON COLUMN webflow.report_conversions.is_sent_again IS 'Accepted after an attempt whose answer was lost: Webflow may have it twice.';
COMMENT ON COLUMN webflow.report_conversions.is_changed_after_sent IS 'The source changed it after it was sent, which Webflow cannot be told.';
COMMENT ON COLUMN webflow.report_conversions.attribution IS 'Whether Webflow will credit it: will_count, may_count, will_not_count or unknown; null where nothing was judged.';
COMMENT ON COLUMN webflow.report_conversions.attribution_reason IS 'Why the verdict is not will_count, as a code.';
COMMENT ON COLUMN webflow.report_conversions.minutes_from_activity IS 'Whole minutes between the visitor''s last activity before it and the conversion.';
COMMENT ON COLUMN webflow.report_conversions.first_seen_at IS 'When a run first read it.';
COMMENT ON COLUMN webflow.report_conversions.sent_at IS 'When the last request with it left; null if none did.';
COMMENT ON COLUMN webflow.report_conversions.settled_at IS 'When it became accepted, rejected, expired or withdrawn; null while it waits.';
COMMENT ON COLUMN webflow.report_conversions.forgotten_at IS 'When the person behind it was removed.';
COMMENT ON COLUMN webflow.report_conversions.run_id IS 'The Airflow run that brought it into its state.';

CREATE VIEW webflow.report_runs AS
SELECT
    id AS run_number,
    dag_id,
    run_id,
    run_type,
    started_at,
    (started_at AT TIME ZONE 'UTC')::date AS started_on,
    approved_at,
    ended_at,
    outcome,
    verdict ->> 'level' AS level,
    nullif(array_to_string(problems, E'\n'), '') AS problems,
    window_start,
    window_end,
    is_whole,
    dry_run AS is_dry_run,
    is_rehearsal,
    forced AS is_forced,
    currency,
    reading,
    config_digest
FROM webflow.runs;

COMMENT ON VIEW webflow.report_runs IS 'One row a run: when, how it ended, and why it is not green.';
COMMENT ON COLUMN webflow.report_runs.run_number IS 'The ledger''s number of the run; unique.';
COMMENT ON COLUMN webflow.report_runs.dag_id IS 'The Airflow Dag: that of the nights, of the read-back, or one of your own.';
COMMENT ON COLUMN webflow.report_runs.run_id IS 'Airflow''s ID of the run; unique within the Dag.';
COMMENT ON COLUMN webflow.report_runs.run_type IS 'How Airflow began it: scheduled, manual, backfill, asset_triggered and others.';
COMMENT ON COLUMN webflow.report_runs.started_at IS 'When plan began.';
COMMENT ON COLUMN webflow.report_runs.started_on IS 'The UTC day of that.';
COMMENT ON COLUMN webflow.report_runs.approved_at IS 'When the guards let it send; null if they did not.';
COMMENT ON COLUMN webflow.report_runs.ended_at IS 'When its account was closed; null while it runs, or if it never came so far.';
COMMENT ON COLUMN webflow.report_runs.outcome IS 'succeeded or failed, as in Airflow; null while it runs.';
COMMENT ON COLUMN webflow.report_runs.level IS 'The verdict: good, note, attention or failed; null without one.';
COMMENT ON COLUMN webflow.report_runs.problems IS 'Why it is not green, a sentence a line; null if it is.';
COMMENT ON COLUMN webflow.report_runs.window_start IS 'From when on conversions may be sent; null if plan refused the run.';
COMMENT ON COLUMN webflow.report_runs.window_end IS 'Up to when, not included.';
COMMENT ON COLUMN webflow.report_runs.is_whole IS 'It was to send all that was due: every source, the whole 2 days; no dry run, no backfill.';
COMMENT ON COLUMN webflow.report_runs.is_dry_run IS 'It only showed what would be sent.';
COMMENT ON COLUMN webflow.report_runs.is_rehearsal IS 'The configuration says rehearse: all ran, and nothing was sent.';
COMMENT ON COLUMN webflow.report_runs.is_forced IS 'A person sent it past the guards.';
COMMENT ON COLUMN webflow.report_runs.currency IS 'The currency of its money, as the configuration names it; null without.';
COMMENT ON COLUMN webflow.report_runs.reading IS 'The reading of Webflow''s rule that judged: strict, wide or lenient; null where nothing is judged.';
COMMENT ON COLUMN webflow.report_runs.config_digest IS 'A hash of the configuration and its queries: another one means that something was changed.';

CREATE VIEW webflow.report_run_sources AS
SELECT
    run.id AS run_number,
    of.source,
    (ARRAY['good', 'note', 'attention', 'failed'])[coalesce(
        (
            SELECT max(array_position(ARRAY['good', 'note', 'attention', 'failed'], finding ->> 'level'))
            FROM jsonb_array_elements(run.verdict -> 'findings') finding
            WHERE finding ->> 'source' = of.source
        ),
        1
    )] AS level,
    (of.counts #>> '{read,rows}')::bigint AS read_rows,
    (of.counts #>> '{read,value}')::numeric AS read_value,
    (of.counts #>> '{duplicates,rows}')::bigint AS duplicate_rows,
    (of.counts #>> '{conflicting,rows}')::bigint AS conflicting_rows,
    (of.counts #>> '{outside,rows}')::bigint AS outside_rows,
    (of.counts #>> '{too_old,rows}')::bigint AS too_old_rows,
    (of.counts #>> '{sent,rows}')::bigint AS accepted_rows,
    (of.counts #>> '{sent,value}')::numeric AS accepted_value,
    (of.counts #>> '{ready,rows}')::bigint AS ready_rows,
    (of.counts #>> '{ready,value}')::numeric AS ready_value,
    (of.counts #>> '{would_send,rows}')::bigint AS would_send_rows,
    (of.counts #>> '{would_send,value}')::numeric AS would_send_value,
    (of.counts #>> '{in_doubt,rows}')::bigint AS in_doubt_rows,
    standing.held_rows,
    standing.held_value,
    standing.rejected_rows,
    standing.rejected_value,
    standing.expired_rows,
    standing.expired_value,
    standing.withdrawn_rows,
    standing.withdrawn_value,
    (of.counts ->> 'sent_again')::bigint AS sent_again_rows,
    (of.counts ->> 'changed_after_sent')::bigint AS changed_after_sent_rows
FROM webflow.runs run
CROSS JOIN LATERAL jsonb_each(run.counts -> 'sources') of (source, counts)
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(amount.rows) FILTER (WHERE state = 'held'), 0)::bigint AS held_rows,
        coalesce(sum(amount.value) FILTER (WHERE state = 'held'), 0) AS held_value,
        coalesce(sum(amount.rows) FILTER (WHERE state = 'rejected'), 0)::bigint AS rejected_rows,
        coalesce(sum(amount.value) FILTER (WHERE state = 'rejected'), 0) AS rejected_value,
        coalesce(sum(amount.rows) FILTER (WHERE state = 'expired'), 0)::bigint AS expired_rows,
        coalesce(sum(amount.value) FILTER (WHERE state = 'expired'), 0) AS expired_value,
        coalesce(sum(amount.rows) FILTER (WHERE state = 'withdrawn'), 0)::bigint AS withdrawn_rows,
        coalesce(sum(amount.value) FILTER (WHERE state = 'withdrawn'), 0) AS withdrawn_value
    FROM jsonb_each(of.counts -> 'states') of_state (state, reasons)
    CROSS JOIN LATERAL jsonb_each(of_state.reasons) of_reason (reason, document)
    CROSS JOIN LATERAL jsonb_to_record(of_reason.document) amount (rows bigint, value numeric)
) standing
WHERE NOT run.dry_run;

COMMENT ON VIEW webflow.report_run_sources IS 'One row a source of a run that ended, without dry runs: what was read, and where it stood at the end.';
COMMENT ON COLUMN webflow.report_run_sources.run_number IS 'The run, as in report_runs; unique together with source.';
COMMENT ON COLUMN webflow.report_run_sources.source IS 'The source of the configuration.';
COMMENT ON COLUMN webflow.report_run_sources.level IS 'The verdict on the source: good, note, attention or failed.';
COMMENT ON COLUMN webflow.report_run_sources.read_rows IS 'Rows that its query returned; null if it was not read to its end.';
COMMENT ON COLUMN webflow.report_run_sources.read_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.duplicate_rows IS 'Of them, rows that say the same as another one.';
COMMENT ON COLUMN webflow.report_run_sources.conflicting_rows IS 'Of them, rows with the ID of another one and other content.';
COMMENT ON COLUMN webflow.report_run_sources.outside_rows IS 'Of them, rows that may be sent, but not in the window of this run.';
COMMENT ON COLUMN webflow.report_run_sources.too_old_rows IS 'Of them, rows older than 30 days, which are only counted.';
COMMENT ON COLUMN webflow.report_run_sources.accepted_rows IS 'Conversions that this run sent and Webflow acknowledged.';
COMMENT ON COLUMN webflow.report_run_sources.accepted_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.ready_rows IS 'Conversions that should have gone out and did not; 0 in a rehearsal.';
COMMENT ON COLUMN webflow.report_run_sources.ready_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.would_send_rows IS 'Conversions that a rehearsal would have sent; 0 in a live run.';
COMMENT ON COLUMN webflow.report_run_sources.would_send_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.in_doubt_rows IS 'Conversions whose answer was lost or leaves it open.';
COMMENT ON COLUMN webflow.report_run_sources.held_rows IS 'Conversions of this run without a known user.';
COMMENT ON COLUMN webflow.report_run_sources.held_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.rejected_rows IS 'Conversions of this run that are rejected.';
COMMENT ON COLUMN webflow.report_run_sources.rejected_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.expired_rows IS 'Conversions of this run that are too old to be sent.';
COMMENT ON COLUMN webflow.report_run_sources.expired_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.withdrawn_rows IS 'Conversions of this run that were taken back before they were sent.';
COMMENT ON COLUMN webflow.report_run_sources.withdrawn_value IS 'Their money.';
COMMENT ON COLUMN webflow.report_run_sources.sent_again_rows IS 'Conversions that went out more than once.';
COMMENT ON COLUMN webflow.report_run_sources.changed_after_sent_rows IS 'Conversions that the source changed after they were sent.';

CREATE VIEW webflow.report_readback AS
SELECT
    destination,
    event_name,
    day,
    goal_id,
    conversions AS shown_conversions,
    accepted AS accepted_conversions,
    accepted_users,
    (expected ->> 'will_count')::bigint AS will_count_users,
    (expected ->> 'may_count')::bigint AS may_count_users,
    (expected ->> 'will_not_count')::bigint AS will_not_count_users,
    (expected ->> 'unknown')::bigint AS unknown_users,
    (expected ->> 'strict')::bigint AS strict_users,
    (expected ->> 'wide')::bigint AS wide_users,
    (expected ->> 'lenient')::bigint AS lenient_users,
    read_at
FROM webflow.readback;

COMMENT ON VIEW webflow.report_readback IS 'One row an event name and UTC day: what Webflow showed of the goal, beside what was sent and expected.';
COMMENT ON COLUMN webflow.report_readback.destination IS 'The connection of the Webflow site.';
COMMENT ON COLUMN webflow.report_readback.event_name IS 'The event name of the custom goal.';
COMMENT ON COLUMN webflow.report_readback.day IS 'The UTC day; unique together with destination and event_name.';
COMMENT ON COLUMN webflow.report_readback.goal_id IS 'Webflow''s ID of the goal.';
COMMENT ON COLUMN webflow.report_readback.shown_conversions IS 'Unique conversions that Webflow shows.';
COMMENT ON COLUMN webflow.report_readback.accepted_conversions IS 'Conversions of that day that Webflow had accepted before its last import.';
COMMENT ON COLUMN webflow.report_readback.accepted_users IS 'Their users, each once.';
COMMENT ON COLUMN webflow.report_readback.will_count_users IS 'Users of whom a conversion will count.';
COMMENT ON COLUMN webflow.report_readback.may_count_users IS 'Other users of whom a conversion may count.';
COMMENT ON COLUMN webflow.report_readback.will_not_count_users IS 'Users of whom none will count.';
COMMENT ON COLUMN webflow.report_readback.unknown_users IS 'Users of whom nobody knows yet.';
COMMENT ON COLUMN webflow.report_readback.strict_users IS 'Users whose conversion the strict reading credits.';
COMMENT ON COLUMN webflow.report_readback.wide_users IS 'Users whose conversion the wide reading credits.';
COMMENT ON COLUMN webflow.report_readback.lenient_users IS 'Users whose conversion the lenient reading credits.';
COMMENT ON COLUMN webflow.report_readback.read_at IS 'When it was read.';
