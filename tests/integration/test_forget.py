"""A removed person is nowhere in the ledger, is never sent again, and the counts stay."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from psycopg2.extras import Json

from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from tests.rows import put
from webflow_conversions.cli.main import cli
from webflow_conversions.ledger import erasure
from webflow_conversions.ledger.dry_run import DryRuns
from webflow_conversions.ledger.erasure import Erasure, People
from webflow_conversions.ledger.extraction import Extraction
from webflow_conversions.ledger.retention import hash_people, hashed_user_id
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.extraction import Met, extract
from webflow_conversions.warehouse.reader import Warehouse

DAY = timedelta(days=1)
ANN = People(users=[("crm", "user-of-ann")], identity_keys=["key-of-ann"])


def ann(night: Night) -> None:
    """She is known to the warehouse."""
    night.person("key-of-ann", "user-of-ann")


def forget(night: Night, people: People = ANN) -> Any:
    return Erasure(night.session, people).remove(night.clock.at)


def everything(night: Night) -> str:
    """All rows of all tables of the ledger as text, without the action IDs, which the tombstones keep."""
    tables = night.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'webflow'")
    texts = [str(night.sql(f"SELECT to_jsonb(t) - 'action_id' FROM webflow.{table} t")) for (table,) in tables]
    return "\n".join(texts)


def tombstones(night: Night) -> dict[str, tuple[str, str | None]]:
    """State and reason by action ID."""
    rows = night.sql("SELECT action_id, state, reason FROM webflow.conversions WHERE forgotten_at IS NOT NULL ORDER BY id")
    return {action_id.rpartition("/")[2]: (state, reason) for action_id, state, reason in rows}


def account(night: Night) -> Any:
    return night.sql(
        "SELECT state, reason, conversions, value, sent_more_than_once FROM webflow.daily_summary ORDER BY 1, 2, 3, 4"
    )


# What is removed, and what stays


def test_an_accepted_conversion_keeps_its_action_id_and_its_account_and_nothing_of_the_person(
    night: Night, simulator: SimulatorProcess
) -> None:
    ann(night)
    night.sale("order-of-ann", key="key-of-ann", value=7)
    run = night.read()
    night.push(run, simulator.url)
    before, (sent,) = account(night), night.rows().values()

    removed = forget(night)

    assert (removed.conversions, removed.busy) == (1, 0)
    assert account(night) == before
    row = night.row(None)
    assert (row.action_id, row.state, row.action_timestamp_ms, row.value) == (
        sent.action_id, "accepted", sent.action_timestamp_ms, sent.value,
    )  # fmt: skip
    assert (row.settled_at, row.sent_at, row.attempts, row.http_status) == (sent.settled_at, sent.sent_at, 1, 200)
    assert (row.identity_key, row.user_domain, row.user_id, row.forgotten_at) == (None, None, None, NOW)
    assert "of-ann" not in everything(night)
    assert night.problems(run) == []


def test_the_visit_goes_with_the_person_and_the_verdict_and_its_readings_stay(night: Night) -> None:
    put(night, "accepted", "a", user_id="user-of-ann", attribution="will_count", visit_id="visit-of-ann",
        visit='{"started_at": 1, "last_active_at": null, "readings": ["wide", "lenient"]}', minutes_from_activity=3)  # fmt: skip
    forget(night)
    row = night.row(None)
    assert (row.attribution, row.minutes_from_activity, row.visit_id) == ("will_count", 3, None)
    assert row.visit == {"readings": ["wide", "lenient"]}


@pytest.mark.parametrize("state", ["ready", "held", "future"])
def test_what_waits_is_withdrawn(night: Night, state: str) -> None:
    put(night, state, "a", user_id="user-of-ann", identity_key="key-of-ann")
    forget(night)
    assert tombstones(night) == {"a": ("withdrawn", "forgotten")}
    assert night.row(None).settled_at == NOW


@pytest.mark.parametrize(
    ("state", "reason"), [("rejected", "refused_422"), ("expired", "expired_unsent"), ("withdrawn", "no_longer_in_source")]
)
def test_what_is_finished_keeps_its_state(night: Night, state: str, reason: str) -> None:
    put(night, state, "a", reason=reason, user_id="user-of-ann", detail="value = x", trouble="HTTP 422", settled_at=NOW - DAY)
    forget(night)
    assert tombstones(night) == {"a": (state, reason)}
    row = night.row(None)
    assert (row.detail, row.trouble, row.settled_at) == (None, None, NOW - DAY)


def test_what_is_in_doubt_is_written_off_since_a_request_may_have_left(night: Night, simulator: SimulatorProcess) -> None:
    put(night, "sending", "sending", user_id="user-of-ann", push_id=77)
    put(night, "ready", "ready", user_id="user-of-ann", attempts=1, attempts_in_doubt=1)
    forget(night)
    assert tombstones(night) == dict.fromkeys(("sending", "ready"), ("rejected", "written_off"))
    assert night.sql("SELECT attempts, attempts_in_doubt FROM webflow.conversions") == [(1, 1), (1, 1)]
    night.push(night.read(), simulator.url)
    assert simulator.events() == []


def test_what_a_push_holds_is_left_alone_and_removed_once_it_let_go(night: Night, simulator: SimulatorProcess) -> None:
    ann(night)
    night.sale("a", key="key-of-ann")
    run = night.read()
    queue = night.queue(run)
    queue.begin(lease_seconds=90)
    queue.claim(1, NOW)

    removed = forget(night)

    assert (removed.conversions, removed.busy, removed.wait_minutes) == (0, 1, 2)
    assert night.states() == {"a": ("sending", None)}
    queue.release([])
    queue.end({})
    assert forget(night).conversions == 1
    assert tombstones(night) == {"a": ("withdrawn", "forgotten")}


def test_what_another_session_has_locked_is_left_alone(night: Night) -> None:
    number = put(night, "ready", user_id="user-of-ann")
    with closing(night.connect()) as somebody, somebody.cursor() as cursor:
        cursor.execute("SELECT FROM webflow.conversions WHERE id = %s FOR UPDATE", (number,))
        removed = forget(night)
    assert (removed.conversions, removed.busy, removed.wait_minutes) == (0, 1, 1)


def test_the_history_is_one_entry_without_content(night: Night) -> None:
    number = put(night, "accepted", user_id="user-of-ann")
    other = put(night, "accepted", "c2")
    night.sql(
        "INSERT INTO webflow.history (conversion, what, detail) VALUES (%s, 'attempt_failed', 'of-ann'), (%s, 'a', 'b')",
        number,
        other,
    )
    forget(night)
    assert night.sql("SELECT conversion, what, detail, person FROM webflow.history ORDER BY conversion") == [
        (number, "forgotten", None, None),
        (other, "a", "b", None),
    ]


def test_what_an_extraction_kept_of_a_changed_row_is_removed_and_that_it_was_read_stays(
    night: Night, simulator: SimulatorProcess
) -> None:
    ann(night)
    night.sale("a", key="key-of-ann", value=7)
    night.push(night.read("first"), simulator.url)
    night.sql("UPDATE sales SET value = 8, identity_key = 'another-key-of-ann'")
    run = night.read("second")
    forget(night)
    assert night.sql("SELECT value, alike, is_kept, identity_key, detail FROM webflow.extracted ORDER BY extraction") == [
        (7, 1, False, None, None),
        (8, 1, False, None, None),
    ]
    assert night.problems(run) == []


def test_what_a_waiting_conversion_was_before_the_source_corrected_it_is_removed(night: Night) -> None:
    ann(night)
    night.person("other-key-of-ann", "other-user-of-ann")
    night.sale("a", key="key-of-ann")
    night.read("first")
    night.sql("UPDATE sales SET identity_key = 'other-key-of-ann'")
    run = night.read("second")
    assert "was" in night.sql("SELECT detail FROM webflow.history")[0][0]
    people = People(users=[("crm", "other-user-of-ann")])
    assert Erasure(night.session, people).kept().extracted == 1
    forget(night, people)
    assert "of-ann" not in everything(night)
    assert night.sql("SELECT what FROM webflow.history") == [("forgotten",)]
    assert night.problems(run) == []


def test_the_action_log_keeps_who_did_what_and_loses_whom_it_was_about(night: Night) -> None:
    number = put(night, "accepted", "order-of-ann", user_id="user-of-ann", identity_key="key-of-ann")
    filters = [
        {"conversion": "order-of-ann"},
        {"conversion": "webflow_default/sales/offline-purchase/order-of-ann", "state": "rejected"},
        {"begins": "user-of-ann"},
        {"written": "“ORDER-OF-ANN”"},
        {"begins": "order-of"},
        {"conversion": "order-of-ann-too"},
        {"written": "order-of-ann-too"},
        {"user_of": str(number)},
        {"source": "sales"},
    ]
    for chosen in filters:
        night.sql("INSERT INTO webflow.actions (person, action, filter) VALUES ('ada', 'download', %s)", Json(chosen))
    assert Erasure(night.session, ANN).kept().actions == 4
    forget(night)
    assert [chosen for (chosen,) in night.sql("SELECT filter FROM webflow.actions ORDER BY id")] == [
        {"conversion": "forgotten"},
        {"conversion": "forgotten", "state": "rejected"},
        {"begins": "forgotten"},
        {"written": "forgotten"},
        *filters[4:],
    ]


def test_the_record_of_a_run_loses_the_sentences_that_name_the_person(night: Night) -> None:
    put(night, "accepted", "1", user_id="user-of-ann")
    action_id = "webflow_default/sales/offline-purchase/1"
    run = night.begin("night")
    night.sql(
        "UPDATE webflow.runs SET verdict = %s, problems = %s, notes = %s WHERE id = %s",
        Json({"findings": [{"sentence": action_id}, {"sentence": f"{action_id}2"}]}),
        [f"1 refused “no {action_id}”.", f"1 refused “no {action_id}2”"],
        ["nothing of her"],
        run.id,
    )
    assert Erasure(night.session, ANN).kept().runs == 1
    forget(night)
    ((counts, problems, notes, verdict),) = night.sql("SELECT counts, problems, notes, verdict FROM webflow.runs")
    assert verdict == {"findings": [{"sentence": "forgotten"}, {"sentence": f"{action_id}2"}]}
    assert problems == ["1 refused “no forgotten”.", f"1 refused “no {action_id}2”"]
    assert (notes, counts) == (["nothing of her"], {})


def test_the_results_of_all_dry_runs_go_with_a_person(night: Night) -> None:
    put(night, "accepted", "1", user_id="user-of-ann")
    night.sale("only in the source", key="k2")
    run = night.begin("dry", dry_run=True)
    DryRuns(night.session).record(run, night.dry_run(run), night.clock.at)
    forget(night)
    assert night.sql("SELECT count(*) FROM webflow.dry_runs") == [(0,)]


# Who it is


def test_a_user_is_a_domain_and_an_id_and_has_the_rows_without_a_user_that_have_one_of_the_keys(night: Night) -> None:
    put(night, "accepted", "hers", user_id="u1", identity_key="k1")
    put(night, "held", "held", user_id=None, user_domain=None, identity_key="k1")
    put(night, "accepted", "of another domain", user_domain="shop", user_id="u1", identity_key="k2")
    put(night, "accepted", "of another user of the key", user_id="u2", identity_key="k1")
    put(night, "held", "of another key", user_id=None, user_domain=None, identity_key="k2")
    forget(night, People(users=[("crm", "u1")]))
    assert tombstones(night) == {"hers": ("accepted", None), "held": ("withdrawn", "forgotten")}


def test_an_identity_key_has_all_rows_that_have_it(night: Night) -> None:
    put(night, "accepted", "a", user_id="u1", identity_key="k1")
    put(night, "accepted", "b", user_id="u2", identity_key="k1")
    put(night, "rejected", "c", user_id=None, user_domain=None, identity_key="k1")
    put(night, "accepted", "d", user_id="u1", identity_key="k2")
    forget(night, People(identity_keys=["k1"]))
    assert set(tombstones(night)) == {"a", "b", "c"}


def test_a_person_of_whom_only_hashes_are_left_is_found(night: Night, simulator: SimulatorProcess) -> None:
    ann(night)
    night.sale("sent", key="key-of-ann")
    night.push(night.read(), simulator.url)
    put(night, "expired", "never", user_id=None, user_domain=None, identity_key="key-of-ann", settled_at=NOW)
    night.clock.at = NOW + 31 * DAY
    night.sql("UPDATE webflow.pushes SET ended_at = %s", NOW)
    assert hash_people(night.session, 30 * DAY, night.clock.at) == 2
    assert night.row("sent").user_id == hashed_user_id("user-of-ann")
    assert len(Erasure(night.session, People(users=ANN.users)).kept().conversions) == 1
    assert forget(night).conversions == 2
    assert "sha256:" not in everything(night)


def test_run_twice_nothing_is_left(night: Night) -> None:
    put(night, "accepted", user_id="user-of-ann", identity_key="key-of-ann")
    forget(night)
    rows = night.rows()
    assert Erasure(night.session, ANN).kept().is_empty
    assert forget(night).conversions == 0
    assert night.rows() == rows


def test_what_is_cut_off_in_the_middle_is_finished_by_the_same_call(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_BATCH_ROWS", 2)
    for number in range(5):
        put(night, "accepted", f"order-{number}", user_id="user-of-ann")
        night.sql(
            "INSERT INTO webflow.actions (person, action, filter) VALUES ('ada', 'download', %s)",
            Json({"conversion": f"order-{number}"}),
        )
    statement, done = erasure.statement, []

    def cut(name: str) -> str:
        done.append(name)
        if done.count("erasure/forget_conversions") == 2:
            raise ConnectionError
        return statement(name)

    monkeypatch.setattr(erasure, "statement", cut)
    with pytest.raises(ConnectionError):
        forget(night)
    assert len(tombstones(night)) == 2
    monkeypatch.setattr(erasure, "statement", statement)
    assert forget(night).conversions == 3
    assert night.sql("SELECT DISTINCT filter FROM webflow.actions") == [({"conversion": "forgotten"},)]


# The source returns it again


@pytest.mark.parametrize(
    "change", ["", "UPDATE sales SET value = 99, identity_key = 'another-key-of-ann', occurred_at = occurred_at - interval '1 h'"]
)
def test_an_accepted_conversion_that_is_read_again_is_not_sent_nor_filled_nor_changed(
    night: Night, simulator: SimulatorProcess, change: str
) -> None:
    ann(night)
    night.sale("a", key="key-of-ann", value=7)
    night.push(night.read("first"), simulator.url)
    forget(night)
    tombstone = night.row(None)
    if change:
        night.sql(change)
    night.person("another-key-of-ann", "user-of-ann")

    run = night.begin("second")
    tally = night.extract(run)
    night.identify(run)
    night.push(run, simulator.url)

    assert night.row(None) == tombstone
    assert (tally.read.rows, tally.recorded.rows) == (1, 1)
    assert len(simulator.events()) == 1
    assert night.sql("SELECT what FROM webflow.history") == [("forgotten",)]
    assert "of-ann" not in everything(night)
    assert night.problems(run) == []
    assert night.sql("SELECT changed_after_sent_rows FROM webflow.extractions WHERE run = %s", run.id) == [(0,)]


@pytest.mark.parametrize("before", ["ready", "held", "future", "rejected"])
@pytest.mark.parametrize("value", [7, 99])
def test_a_waiting_or_rejected_conversion_that_is_read_again_stays_as_it_is(
    night: Night, simulator: SimulatorProcess, before: str, value: int
) -> None:
    if before != "held":
        ann(night)
    night.sale(
        "a", key="key-of-ann" if before != "rejected" else None, value=7, ago=timedelta(hours=-1 if before == "future" else 1)
    )
    night.read("first")
    assert night.states()["a"][0] == before
    night.sql("UPDATE webflow.conversions SET identity_key = 'key-of-ann'")
    forget(night)
    tombstone = night.row(None)
    ann(night)
    night.sql("UPDATE sales SET value = %s, identity_key = 'key-of-ann', occurred_at = %s", value, NOW - timedelta(hours=1))

    run = night.read("second")
    night.push(run, simulator.url)

    assert night.row(None) == tombstone
    assert simulator.events() == []
    assert "of-ann" not in everything(night)
    assert night.problems(run) == []


def test_equal_rows_of_a_tombstone_in_several_chunks_are_not_conflicting(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Warehouse.read
    monkeypatch.setattr(Warehouse, "read", lambda *arguments: read(*arguments, chunk_rows=1))
    ann(night)
    night.sale("a", key="key-of-ann")
    night.read("first")
    forget(night)
    night.sale("a", key="key-of-ann")
    tally = night.extract(night.begin("second"))
    assert (tally.duplicates.rows, tally.conflicting.rows) == (1, 0)


def test_a_removal_waits_for_the_chunk_that_is_being_merged(night: Night, simulator: SimulatorProcess) -> None:
    ann(night)
    night.sale("a", key="key-of-ann")
    night.push(night.read("first"), simulator.url)
    night.sql("UPDATE sales SET identity_key = 'another-key-of-ann'")
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    staged: list[Any] = []

    class Slow(Extraction):
        def record(self, conversions: pd.DataFrame, now: datetime) -> Met:
            def wait(_: Any, met: Met) -> Met:
                staged.append(pool.submit(forget, night))
                while night.sql(waits) == [(0,)]:
                    assert not staged[0].done(), "it did not wait"
                return met

            return self.recording(conversions, now, wait)

    with ThreadPoolExecutor(1) as pool:
        run = night.begin("second")
        ledger = Slow(Session(night.connect), run, night.rules, "digest")
        extract(run, night.rules, night._source(run), night.users, ledger, night.clock.now)
    # The end of the extraction may hold the conversion for a moment, too: then it is left alone, and the command says so.
    assert staged[0].result().conversions + forget(night).conversions == 1
    assert "of-ann" not in everything(night)
    assert night.problems(run) == []


# The command


@pytest.fixture
def connected(night: Night, monkeypatch: pytest.MonkeyPatch) -> Night:
    """Airflow's connection webflow_ledger leads to the ledger."""
    with closing(night.connect()) as connection:
        at = connection.info
        leads_to = {"host": at.host, "port": at.port, "login": at.user, "schema": at.dbname}
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", json.dumps({"conn_type": "postgres", **leads_to}))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")  # the command does not set it for the tests after this one
    return night


def command(*options: str) -> Result:
    return CliRunner().invoke(cli, ["forget", "--user", "crm", "user-of-ann", *options])


def test_the_command_shows_removes_and_finds_nothing_the_next_time(connected: Night) -> None:
    put(connected, "accepted", "order-of-ann", user_id="user-of-ann", identity_key="key-of-ann")
    put(connected, "held", "other-of-ann", user_id=None, user_domain=None, identity_key="key-of-ann")
    shown = command("--dry-run")
    assert shown.exit_code == 0, shown.output
    assert len(re.findall("identity_key=key-of-ann", shown.output)) == 2
    assert tombstones(connected) == {}
    removed = command("--yes")
    assert (removed.exit_code, "Removed the person from 2 conversions." in removed.output) == (0, True)
    assert len(tombstones(connected)) == 2
    assert command("--yes").output == "The ledger keeps nothing about this person.\n"


def test_the_command_fails_and_says_when_to_come_again_while_a_push_holds_a_conversion(connected: Night) -> None:
    ann(connected)
    connected.sale("a", key="key-of-ann")
    queue = connected.queue(connected.read())
    queue.begin(lease_seconds=30)
    queue.claim(1, NOW)
    busy = command("--yes")
    assert busy.exit_code == 1
    assert busy.output.endswith("it is being worked on at this moment: run it again in 1 minute.\n")


def test_a_ledger_without_tables_and_a_connection_that_is_missing_are_one_sentence(
    connected: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_WEBFLOW_LEDGER"])
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", json.dumps(connection | {"schema": "postgres"}))
    empty = command("--yes")
    assert (empty.exit_code, empty.output) == (
        1,
        "Error: The ledger has no tables of this release yet: the plan task of the next run makes them.\n",
    )
    monkeypatch.delenv("AIRFLOW_CONN_WEBFLOW_LEDGER")
    missing = command("--yes")
    assert missing.exit_code == 1
    assert missing.output.endswith(
        "Error: There is no connection webflow_ledger: create it under Admin > Connections, or as AIRFLOW_CONN_WEBFLOW_LEDGER.\n"
    )
