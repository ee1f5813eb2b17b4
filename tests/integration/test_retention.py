"""What is old and finished goes, in small batches; what could be sent, and what keeps another from being sent twice, stays."""

from datetime import timedelta
from decimal import Decimal

import pytest

from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from webflow_conversions.ledger import retention
from webflow_conversions.ledger.retention import remove_old
from webflow_conversions.rules.amounts import Amount

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


@pytest.mark.parametrize("state", ["accepted", "rejected", "expired"])
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
