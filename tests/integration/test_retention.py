"""What is old and finished goes, in small batches; what could be sent, and what keeps another from being sent twice, stays."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from tests.rows import put
from webflow_conversions.ledger import retention
from webflow_conversions.ledger.actions import Action, Actions
from webflow_conversions.ledger.dry_run import DryRuns
from webflow_conversions.ledger.retention import hash_people, hashed_user_id, remove_old
from webflow_conversions.ledger.search import Conversions
from webflow_conversions.ledger.selection import Filter
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.ui.conversion import payload
from webflow_conversions.warehouse.reader import Warehouse

DAY = timedelta(days=1)
KEPT = timedelta(days=90)


def conversion(night: Night, name: str, state: str, *, seen: timedelta, happened: timedelta | None) -> None:
    """A row of the ledger, first seen and happened so long ago."""
    moment = None if happened is None else int((NOW - happened).timestamp() * 1000)
    night.sql(
        "INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, action_timestamp_ms, user_domain,"
        " user_id, state, first_seen_at, run_id) VALUES ('webflow_default', 'sales', 'sale', %s, %s, %s, 'crm', 'u1', %s, %s, 'old')",
        name,
        name,
        moment,
        state,
        NOW - seen,
    )


@pytest.mark.parametrize("state", ["accepted", "rejected", "expired", "withdrawn"])
def test_what_finished_longer_ago_than_the_limit_is_removed_and_nothing_younger(night: Night, state: str) -> None:
    conversion(night, "old", state, seen=KEPT + timedelta(microseconds=1), happened=KEPT + timedelta(milliseconds=1))
    conversion(night, "of the limit", state, seen=KEPT, happened=KEPT + DAY)
    conversion(night, "young", state, seen=DAY, happened=2 * DAY)
    assert remove_old(night.session, KEPT, NOW) == 1
    assert set(night.rows()) == {"of the limit", "young"}


@pytest.mark.parametrize("state", ["ready", "held", "future", "sending"])
def test_what_is_not_finished_stays_however_old(night: Night, state: str) -> None:
    conversion(night, "a", state, seen=400 * DAY, happened=400 * DAY)
    assert remove_old(night.session, KEPT, NOW) == 0


def test_what_was_seen_long_ago_but_happened_lately_stays(night: Night) -> None:
    conversion(night, "booked ahead", "accepted", seen=100 * DAY, happened=DAY)
    conversion(night, "dated ahead", "rejected", seen=100 * DAY, happened=-300 * DAY)
    assert remove_old(night.session, KEPT, NOW) == 0


@pytest.mark.parametrize("state", ["future", "rejected", "withdrawn"])
def test_what_is_dated_over_a_year_ahead_has_an_end_and_what_is_booked_ahead_waits(night: Night, state: str) -> None:
    conversion(night, "year 2999", state, seen=KEPT + DAY, happened=-355_000 * DAY)
    conversion(night, "seen lately", state, seen=DAY, happened=-355_000 * DAY)
    conversion(night, "booked ahead", state, seen=KEPT + DAY, happened=-365 * DAY)
    assert remove_old(night.session, KEPT, NOW) == 1
    assert set(night.rows()) == {"seen lately", "booked ahead"}


def test_what_is_dated_over_a_year_ahead_stays_as_long_as_it_is_read_so_that_its_runs_add_up(night: Night) -> None:
    night.clock.at = NOW - 100 * DAY
    night.sale("year 2999", at="2999-12-31T00:00:00Z")
    night.read("then")
    night.clock.at = NOW
    run = night.read("now")
    assert remove_old(night.session, KEPT, NOW) == 0
    assert night.problems(run) == []
    assert remove_old(night.session, KEPT, NOW + retention.EXTRACTED_KEPT + DAY) == 1


def test_the_action_log_has_an_end(night: Night) -> None:
    for number, days in enumerate([91, 91, 90, 1]):
        night.sql(
            "INSERT INTO webflow.actions (person, action, filter, at) VALUES (%s, 'download', '{}', %s)",
            str(number),
            NOW - days * DAY,
        )
    remove_old(night.session, KEPT, NOW)
    assert [person for (person,) in night.sql("SELECT person FROM webflow.actions ORDER BY id")] == ["2", "3"]


def test_dry_runs_have_an_end_and_the_runs_that_guards_compare_with_have_none(night: Night) -> None:
    for days in (91, 89):
        night.clock.at = NOW - days * DAY
        night.begin(f"dry {days}", dry_run=True)
        night.begin(f"real {days}")
    remove_old(night.session, KEPT, NOW)
    assert [name for (name,) in night.sql("SELECT run_id FROM webflow.runs ORDER BY id")] == ["real 91", "dry 89", "real 89"]


def test_the_result_of_a_dry_run_is_kept_for_a_day(night: Night) -> None:
    night.sale("a")
    for name, hours in (("old", 25), ("new", 23)):
        night.clock.at = NOW - timedelta(hours=hours)
        run = night.begin(name, dry_run=True)
        DryRuns(night.session).record(run, night.dry_run(run), night.clock.at)
    remove_old(night.session, KEPT, NOW)
    assert night.sql("SELECT r.run_id, d.source FROM webflow.dry_runs d JOIN webflow.runs r ON r.id = d.run") == [
        ("new", "sales")
    ]


def test_what_was_removed_and_is_still_in_the_source_is_not_sent_again(night: Night, simulator: SimulatorProcess) -> None:
    night.clock.at = NOW - 100 * DAY
    night.person()
    night.sale("a", value=7)
    night.push(night.read("then"), simulator.url)
    night.clock.at = NOW
    assert remove_old(night.session, KEPT, NOW) == 1
    run = night.begin("now")
    tally = night.extract(run)
    night.identify(run)
    night.push(run, simulator.url)
    assert night.rows() == {}
    assert tally.too_old == Amount(rows=1, value=Decimal(7))
    assert len(simulator.events()) == 1


def test_a_row_without_a_moment_stays_as_long_as_it_is_read_so_that_its_runs_add_up(night: Night) -> None:
    night.clock.at = NOW - 100 * DAY
    night.sale("undated", at="infinity")
    night.read("then")
    night.clock.at = NOW
    run = night.read("now")
    assert remove_old(night.session, KEPT, NOW) == 0
    assert night.problems(run) == []
    assert remove_old(night.session, KEPT, NOW + retention.EXTRACTED_KEPT + DAY) == 1


def test_removal_goes_in_small_batches_and_takes_the_history_along(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH_ROWS", 7)
    for number in range(30):
        conversion(night, f"old {number}", "accepted", seen=100 * DAY, happened=100 * DAY)
    conversion(night, "young", "accepted", seen=DAY, happened=DAY)
    night.sql("INSERT INTO webflow.history (conversion, what) SELECT id, 'attempt_failed' FROM webflow.conversions")
    batches = []
    execute = night.session.execute
    monkeypatch.setattr(
        night.session, "execute", lambda name, parameters: batches.append((name, execute(name, parameters))) or batches[-1][1]
    )
    assert remove_old(night.session, KEPT, NOW) == 30
    assert [rows for name, rows in batches if name == "retention/remove_finished"] == [7, 7, 7, 7, 2]
    assert night.sql("SELECT count(*) FROM webflow.history") == [(1,)]


def test_what_a_run_read_is_kept_for_some_days_and_then_removed(night: Night) -> None:
    night.sql("INSERT INTO sales SELECT 's' || g, %s, 'k1', 1 FROM generate_series(1, 30) g", NOW - timedelta(hours=1))
    night.read()
    remove_old(night.session, KEPT, NOW + retention.EXTRACTED_KEPT)
    assert night.sql("SELECT count(*) FROM webflow.extracted") == [(30,)]
    remove_old(night.session, KEPT, NOW + retention.EXTRACTED_KEPT + timedelta(microseconds=1))
    assert night.sql("SELECT count(*) FROM webflow.extracted") == [(0,)]


# People


AGO = timedelta(days=30)


def finished(night: Night, state: str, name: str, *, ago: timedelta, **columns: object) -> int:
    """A row of the ledger that finished so long ago, a day after it happened; accepted ones by a push of their own."""
    moment = int((NOW - ago - DAY).timestamp() * 1000)
    if state == "accepted" and "push_id" not in columns:
        run = night.begin(f"of {name}")
        ((columns["push_id"],),) = night.sql(
            "INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, expires_at, ended_at)"
            " VALUES (%s, 'webflow_default', 0, 1, 'h', 1, now(), %s) RETURNING id",
            run.id,
            NOW - ago,
        )
    given = {
        "settled_at": NOW - ago,
        "action_timestamp_ms": moment,
        "identity_key": f"key of {name}",
        "user_id": f"user of {name}",
    }
    return put(night, state, name, **given | columns)


def plain(night: Night) -> set[str | None]:
    """The conversions whose identity key or user ID is not hashed."""
    rows = night.rows().values()
    return {
        row.conversion_id for row in rows if not all(str(text).startswith("sha256:") for text in (row.identity_key, row.user_id))
    }


@pytest.mark.parametrize("state", ["accepted", "rejected", "expired", "withdrawn"])
def test_people_are_hashed_once_they_finished_longer_ago_than_the_limit(night: Night, state: str) -> None:
    finished(night, state, "old", ago=AGO + timedelta(microseconds=1))
    finished(night, state, "of the limit", ago=AGO)
    finished(night, state, "young", ago=DAY)
    assert hash_people(night.session, AGO, NOW) == 1
    assert plain(night) == {"of the limit", "young"}
    assert night.row("old").user_id == hashed_user_id("user of old")
    assert night.row("old").user_domain == "crm"


def test_the_visit_goes_with_the_user_and_the_verdict_and_its_readings_stay(night: Night) -> None:
    visit = '{"started_at": 1, "last_active_at": 2, "first_viewed_at": 1, "readings": ["lenient"]}'
    judged = {"attribution": "may_count", "attribution_reason": "other_session", "minutes_from_activity": 9, "visit_id": "s1"}
    finished(night, "accepted", "old", ago=AGO + DAY, visit=visit, **judged)
    finished(night, "accepted", "not credited", ago=AGO + DAY, attribution="will_not_count")
    finished(night, "accepted", "without readings", ago=AGO + DAY, visit='{"started_at": 1}', **judged)
    finished(night, "accepted", "young", ago=DAY, visit=visit, **judged)
    assert hash_people(night.session, AGO, NOW) == 3
    old = night.row("old")
    assert (old.visit_id, old.visit) == (None, {"readings": ["lenient"]})
    assert (old.attribution, old.attribution_reason, old.minutes_from_activity) == ("may_count", "other_session", 9)
    assert night.row("not credited").visit is night.row("without readings").visit is None
    assert (night.row("young").visit_id, night.row("young").visit["last_active_at"]) == ("s1", 2)


def test_the_history_loses_which_user_and_key_there_were_before_and_keeps_the_rest(night: Night) -> None:
    for number in (finished(night, "accepted", "old", ago=AGO + DAY), finished(night, "accepted", "young", ago=DAY)):
        for what in ("corrected", "returned", "user_changed", "user_gone", "changed_after_sent", "attempt_failed"):
            night.sql("INSERT INTO webflow.history (conversion, what, detail) VALUES (%s, %s, 'x')", number, what)
    assert hash_people(night.session, AGO, NOW) == 1
    left = night.sql("SELECT conversion, what FROM webflow.history WHERE detail IS NOT NULL ORDER BY id")
    assert [what for _, what in left][:2] == ["changed_after_sent", "attempt_failed"]
    assert len(left) == 2 + 6


@pytest.mark.parametrize("state", ["ready", "held", "future", "sending"])
def test_people_of_what_is_not_finished_stay(night: Night, state: str) -> None:
    finished(night, state, "a", ago=400 * DAY)
    assert hash_people(night.session, AGO, NOW) == 0


@pytest.mark.parametrize("state", ["rejected", "withdrawn"])
def test_what_a_person_may_send_again_keeps_its_user(night: Night, state: str) -> None:
    number = finished(
        night, state, "a", ago=AGO + DAY, action_timestamp_ms=int((NOW + DAY).timestamp() * 1000), reason="refused_422"
    )
    finished(night, state, "b", ago=AGO + DAY, reason="refused_422")
    hash_people(night.session, AGO, NOW)
    assert plain(night) == {"a"}
    Actions(night.session).do(Action.SEND_AGAIN, Filter(), [number, night.row("b").id], "ada", NOW)
    assert all(not row.user_id.startswith("sha256:") for row in night.rows().values() if row.state == "ready")


@pytest.mark.parametrize("state", ["rejected", "withdrawn"])
def test_what_was_dated_ahead_is_hashed_once_it_is_too_old_to_go_out(night: Night, state: str) -> None:
    happens = NOW + 60 * DAY
    finished(night, state, "a", ago=AGO + DAY, action_timestamp_ms=int(happens.timestamp() * 1000))
    for at in (NOW, happens, happens + 2 * DAY):
        assert hash_people(night.session, AGO, at) == 0
    assert hash_people(night.session, AGO, happens + 3 * DAY) == 1
    assert plain(night) == set()
    assert hash_people(night.session, AGO, happens + 4 * DAY) == 0


def test_the_ledger_remembers_how_far_it_came(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH_ROWS", 2)
    for state in ("accepted", "rejected"):
        for number in range(5):
            finished(night, state, f"{state} {number}", ago=AGO + (5 - number) * DAY)
    for number in range(3):
        finished(night, "accepted", f"same push {number}", ago=AGO + 5 * DAY, push_id=1)
    pages: list[tuple[str, int]] = []
    statement = retention.statement
    monkeypatch.setattr(retention, "statement", lambda name: pages.append(name) or statement(name))
    assert hash_people(night.session, AGO, NOW) == 13
    assert plain(night) == set()
    assert pages.count("retention/hash_people") == 7
    pages.clear()
    assert hash_people(night.session, AGO, NOW) == 0
    assert "retention/hash_people" not in pages
    finished(night, "rejected", "later", ago=AGO + timedelta(hours=1))
    assert hash_people(night.session, AGO, NOW) == 1


def told(night: Night) -> set[tuple[str, str]]:
    """The details of the history, by conversion."""
    rows = night.sql("SELECT c.conversion_id, h.detail FROM webflow.history h JOIN webflow.conversions c ON c.id = h.conversion")
    return set(rows)


def test_a_hashed_conversion_that_is_read_again_is_no_change_and_is_judged_by_its_key(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person("k1", "u1")
    for name, key in (("sent", "k1"), ("refused", None)):
        night.sale(name, key=key, value=7)
    night.sale("late", key="k1", ago=3 * DAY, value=7)
    night.push(night.read("first"), simulator.url)
    night.clock.at = NOW + 4 * DAY
    night.sql("UPDATE webflow.pushes SET ended_at = %s", NOW)
    assert hash_people(night.session, 3 * DAY, night.clock.at) == 2
    before = night.rows()

    run = night.read("the same")

    assert night.rows() == before
    assert night.sql("SELECT count(*) FROM webflow.extracted WHERE is_kept") == [(0,)]
    night.sql("UPDATE sales SET value = 8")
    value = "value 8.00, was 7.00"
    run = night.read("another value")
    assert night.problems(run) == []
    assert told(night) == {("sent", value), ("refused", value), ("late", value)}
    assert [night.row(name).identity_key for name in ("sent", "late")] == [before[name].identity_key for name in ("sent", "late")]
    night.sql("DELETE FROM webflow.history; UPDATE sales SET identity_key = 'k2'")
    for name in ("another key", "the same once more"):
        night.read(name)
        assert told(night) == {
            ("sent", f"{value}; another identity key"),
            ("refused", "key k…, was none"),
            ("late", "another identity key"),
        }
    assert night.row("late").identity_key.startswith("sha256:")
    assert night.row("late").identity_key != before["late"].identity_key
    assert night.sql("SELECT count(*) FROM webflow.history") == [(3,)]
    assert len(simulator.events()) == 1


def test_equal_rows_of_a_hashed_conversion_in_several_chunks_are_not_conflicting(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Warehouse.read
    monkeypatch.setattr(Warehouse, "read", lambda *arguments: read(*arguments, chunk_rows=1))
    for _ in range(2):
        night.sale("late", ago=3 * DAY)
    night.read("first")
    night.clock.at = NOW + 4 * DAY
    hash_people(night.session, 3 * DAY, night.clock.at)
    before = night.row("late")
    tally = night.extract(night.begin("second"))
    assert (tally.duplicates.rows, tally.conflicting.rows) == (1, 0)
    assert night.row("late") == before


def test_a_hashed_conversion_whose_moment_is_corrected_goes_out_with_its_user(night: Night, simulator: SimulatorProcess) -> None:
    night.person("k1", "u1")
    night.sale("refused", key="k1")
    simulator.faults([{"action": "status", "status": 422}])
    night.push(night.read("first"), simulator.url)
    simulator.faults([])
    night.clock.at = NOW + 4 * DAY
    night.sql("UPDATE webflow.conversions SET settled_at = %s; DELETE FROM webflow.history", NOW)
    assert hash_people(night.session, 3 * DAY, night.clock.at) == 1
    night.sql("UPDATE sales SET occurred_at = %s", NOW + 4 * DAY - timedelta(hours=1))
    night.push(night.read("second"), simulator.url)
    assert [json.loads(event["body"])["userId"] for event in simulator.events()] == ["u1"]
    ((what, detail),) = night.sql("SELECT what, detail FROM webflow.history")
    assert (what, "key" in detail, "user" in detail) == ("corrected", False, False)


def test_the_conversions_of_a_user_are_found_by_the_whole_user_id_hashed_or_not(night: Night) -> None:
    old = finished(night, "accepted", "old", ago=AGO + DAY, user_id="u1")
    hash_people(night.session, AGO, NOW)
    conversions = Conversions(night.session)
    young = finished(night, "accepted", "young", ago=DAY, user_id="u1")
    assert conversions.of_user(["u1"]) == young
    assert conversions.ids(Filter(user_of=young), 9) == [young, old]
    shown = {number: payload(conversions.one(number), "1", with_user_ids=True) for number in (old, young)}
    assert (shown[old], shown[young]["userId"]) == (None, "u1")
