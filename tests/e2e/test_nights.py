"""The three ways to run the Dag, through the real scheduler; and that nothing ever goes out twice."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks import idle
from demo.account import disagreements
from demo.stage import CUSTOMER_ID, DAG_ID, Stage
from tests.e2e.conftest import TWO_DAYS, Night, StatsdServer, accepted, moment, night, run_by_hand

pytestmark = pytest.mark.airflow


def test_unpausing_starts_the_run_that_was_due_last_over_the_two_days_before_it(first_night: Night) -> None:
    run = first_night.run
    assert (run["run_type"], run["state"], first_night.failures) == ("scheduled", "success", {})
    due_at = moment(run["run_after"])
    assert f"{due_at.astimezone(UTC):%H:%M}" in ("22:00", "23:15")
    assert (moment(run["data_interval_start"]), moment(run["data_interval_end"])) == (due_at - TWO_DAYS, due_at)
    assert (first_night.record.window_start, first_night.record.window_end) == (due_at - TWO_DAYS, due_at)


def test_a_run_that_succeeded_has_missed_no_deadline(first_night: Night, stage: Stage) -> None:
    assert first_night.run["state"] == "success"
    with closing(stage.postgres.connect("airflow")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM deadline_alert")
        assert cursor.fetchall() == [(1,)]
        cursor.execute("SELECT deadline_time FROM deadline WHERE missed AND created_at < deadline_time")
        assert cursor.fetchall() == []
        if not "22:00" <= f"{datetime.now(UTC):%H:%M}":  # The run is one of the night before, and was made up for.
            cursor.execute("SELECT deadline_time FROM deadline")
            assert cursor.fetchall() == []


def test_a_run_sends_exactly_what_is_due_in_its_window(first_night: Night) -> None:
    assert_sent_what_was_due(first_night)
    assert (
        disagreements([row for row in first_night.conversions if row.state == "accepted"], first_night.events, CUSTOMER_ID) == []
    )


def test_a_mapped_task_shows_what_it_worked_on(first_night: Night) -> None:
    assert {task["task_id"] for task in first_night.tasks} == {"plan", "extract", "identify", "push", "reconcile"}
    labels = {task["rendered_map_index"] for task in first_night.tasks if task["task_id"] == "extract"}
    assert {label.partition(":")[0] for label in labels} == {"offline_sales", "crm_conversions"}
    pushes = [task for task in first_night.tasks if task["task_id"] == "push"]
    assert sorted(task["rendered_map_index"] for task in pushes) == ["webflow_default 0", "webflow_default 1"]
    assert {task["pool"] for task in pushes} == {"webflow"}


def test_the_figures_of_a_run_reach_airflows_metrics(first_night: Night, statsd: StatsdServer) -> None:
    told = {
        name.removeprefix("airflow.webflow_conversions."): value
        for name, value in statsd.gauges.items()
        if name.startswith("airflow.webflow_conversions.")
    }
    sources = first_night.record.counts["sources"]
    for source, counts in sources.items():
        assert told[f"read.{source}"] == counts["read"]["rows"]
        assert told[f"accepted.{source}"] == counts["sent"]["rows"]
        assert told[f"accepted_value.{source}"] == pytest.approx(float(counts["sent"]["value"]))
        assert told[f"ready.{source}"] == told[f"in_doubt.{source}"] == 0
        for reason, amount in counts["states"]["rejected"].items():
            assert told[f"rejected.{source}.{reason}"] == amount["rows"] > 0
    assert told["events_per_second.webflow_default.0"] + told["events_per_second.webflow_default.1"] > 0
    assert 0 < told["seconds_to_import"] <= 24 * 3600


def test_a_date_by_hand_sends_that_day_and_a_second_time_nothing(anew: Stage) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    start = datetime(yesterday.year, yesterday.month, yesterday.day, tzinfo=UTC)

    first = run_by_hand(anew, date=yesterday.isoformat())

    assert (first.run["run_type"], first.failures) == ("manual", {})
    assert (first.record.window_start, first.record.window_end) == (start, start + timedelta(days=1))
    assert_sent_what_was_due(first)

    second = run_by_hand(anew, date=yesterday.isoformat())

    assert (second.run["state"], second.failures) == ("success", {})
    assert second.events == first.events
    assert accepted(second) == accepted(first)
    assert sum(source["sent"]["rows"] for source in second.record.counts["sources"].values()) == 0


def test_a_run_that_has_nothing_to_do_is_what_the_benchmark_measures(anew: Stage) -> None:
    with pytest.raises(RuntimeError, match=r"ended as success, and sent [1-9]"):
        idle.run(anew)
    measured = idle.run(anew)
    assert measured["seconds"] > 0
    assert {"plan", "extract", "identify", "push", "reconcile"} <= set(measured["tasks"])


def test_a_backfill_of_a_recent_window_sends_what_is_due_in_it(anew: Stage, first_night: Night) -> None:
    before = moment(first_night.run["run_after"]) - timedelta(minutes=1)
    (run_id,) = anew.airflow.backfill(DAG_ID, before - timedelta(hours=23), before, "--max-active-runs", "1")
    anew.airflow.wait_for_run(DAG_ID, run_id)

    filled = night(anew, run_id)

    assert (filled.run["run_type"], filled.failures) == ("backfill", {})
    assert moment(filled.run["data_interval_end"]) < moment(first_night.run["data_interval_end"])
    assert filled.record.window_end == moment(filled.run["data_interval_end"])
    assert_sent_what_was_due(filled)


def test_a_dry_run_shows_payloads_and_changes_nothing(anew: Stage) -> None:
    dry = run_by_hand(anew, dry_run=True)

    assert (dry.run["state"], dry.failures) == ("success", {})
    assert (dry.conversions, dry.events) == ([], [])
    assert [task["state"] for task in dry.tasks if task["task_id"] == "push"] == ["skipped"]
    shown = {source["source"]: source for source in extracted(anew, dry)}
    would_send = sum(source["states"]["ready"][""]["rows"] for source in shown.values())
    assert would_send == pytest.approx(len(dry.due(*window(dry))), abs=edge(dry))
    assert (dry.record.outcome, dry.record.problems) == ("succeeded", [])
    kept = {row.source: row.preview for row in anew.ledger("SELECT source, preview FROM webflow.dry_runs")}
    assert set(kept) == set(shown)
    assert kept["offline_sales"]["payloads"][0]["eventName"] == "offline-purchase"
    assert kept["offline_sales"]["payloads"][0]["userId"].endswith("…")
    note = anew.airflow.get(f"/dags/{DAG_ID}/dagRuns/{dry.run['dag_run_id']}")["note"]
    assert re.fullmatch(rf"Dry run: .* would be sent, and nothing was\. \[.*\]\(.*/webflow/dry-runs/{dry.record.id}\)", note)


def test_a_guard_stops_a_run_that_looks_wrong_and_force_goes_past_it_with_one_source(anew: Stage, configuration: Any) -> None:
    configuration.write_text(configuration.read_text() + "guards: {rejected_share: 0.001, min_rows: 1}\n")

    stopped = run_by_hand(anew)

    assert stopped.run["state"] == "failed"
    why = stopped.failures["identify"]
    assert why.startswith("Nothing is sent, since this run looks wrong: ")
    assert "(guards.rejected_share)" in why
    assert stopped.events == []
    assert accepted(stopped) == set()

    forced = run_by_hand(anew, force=True, sources=["crm_conversions"])

    assert (forced.run["state"], forced.failures) == ("success", {})
    assert_sent_what_was_due(forced, sources={"crm_conversions"})
    assert {row.source for row in forced.conversions if row.state == "ready"} == {"offline_sales"}


def assert_sent_what_was_due(of: Night, *, sources: set[str] | None = None) -> None:
    """The ledger's accepted conversions are those due in the run's window; only what grew too old while it ran may lack."""
    start, end = window(of)
    wanted = {row for row in of.due(start, end) if sources is None or row[0] in sources}
    still_due = wanted & of.due(moment(of.run["end_date"]) - TWO_DAYS, end)
    assert len(still_due) > 50, "the sample is too small to show anything"
    assert still_due <= accepted(of) <= wanted
    assert {event["action_id"] for event in of.events} == {row.action_id for row in of.conversions if row.state == "accepted"}


def window(of: Night) -> tuple[datetime, datetime]:
    """The window of a run, without what was too old or still to come when it began."""
    began = moment(of.run["start_date"])
    return max(of.record.window_start, began - TWO_DAYS), min(of.record.window_end, began)


def edge(of: Night) -> int:
    """How many conversions grew too old, or came about, while a run ran."""
    began, ended = moment(of.run["start_date"]), moment(of.run["end_date"])
    return len(of.due(began - TWO_DAYS, ended - TWO_DAYS)) + len(of.due(began, ended))


def extracted(stage: Stage, of: Night) -> list[dict[str, Any]]:
    """What the extract tasks returned."""
    return [stage.airflow.xcom(DAG_ID, of.run["dag_run_id"], "extract", map_index=index) for index in range(2)]
