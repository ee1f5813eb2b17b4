"""The account of a run in the ledger: broken on purpose, it is noticed, by count and by money, for each source."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from demo.simulator import SimulatorProcess
from tests.night import DESTINATION, NOW, Night
from webflow_conversions.ledger.expiry import expire_waiting
from webflow_conversions.ledger.extraction import Extraction
from webflow_conversions.ledger.notices import stake
from webflow_conversions.pipeline.extraction import Met
from webflow_conversions.pipeline.reconciliation import counts
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.window import Window

HOUR = timedelta(hours=1)
CONVERSION = "SELECT id FROM webflow.conversions WHERE conversion_id = 'c2'"


@pytest.fixture
def sent(night: Night, simulator: SimulatorProcess) -> Night:
    """A night in which three conversions of 1.00 each were read, and sent."""
    night.push(night.ready(3), simulator.url)
    return night


def problems(night: Night, run: str = "run") -> list[str]:
    (found,) = [row for row in night.sql("SELECT id, run_id FROM webflow.runs") if row[1] == run]
    return night.problems(replace(night.begin("another"), id=found[0], run_id=run))


def test_a_run_in_order_adds_up(sent: Night) -> None:
    assert problems(sent) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            f"DELETE FROM webflow.conversions WHERE id = ({CONVERSION})",
            "sales: 1 conversion (1.00) recorded, but gone from the ledger",
        ),
        (
            f"DELETE FROM webflow.extracted WHERE conversion = ({CONVERSION})",
            "sales: 3 conversions (3.00) recorded, but 2 conversions (2.00) in the run's states",
        ),
        (
            f"INSERT INTO webflow.extracted SELECT extraction, 10 ^ 9, value, 1 FROM webflow.extracted WHERE conversion = ({CONVERSION})",
            "sales: 3 conversions (3.00) recorded, but 4 conversions (4.00) in the run's states",
        ),
        (
            f"UPDATE webflow.conversions SET value = 100 WHERE id = ({CONVERSION})",
            "sales: 1 conversion (100.00) in the ledger, but read with a value of 1.00",
        ),
        (
            f"UPDATE webflow.conversions SET value = NULL WHERE id = ({CONVERSION})",
            "sales: 1 conversion (0.00) in the ledger, but read with a value of 1.00",
        ),
        (
            f"UPDATE webflow.extracted SET value = 1.01 WHERE conversion = ({CONVERSION})",
            "sales: 3 conversions (3.00) recorded, but 3 conversions (3.01) in the run's states",
        ),
        (
            "UPDATE webflow.conversions SET value = 2 - value + g FROM (VALUES ('c1', 1), ('c3', -1)) v (c, g) WHERE c = conversion_id",
            "sales: 2 conversions (2.00) in the ledger, but read with a value of 2.00",
        ),
        (
            "UPDATE webflow.extractions SET read_rows = read_rows + 1",
            "sales: 4 conversions (3.00) read, but 3 conversions (3.00) accounted for",
        ),
        (
            "UPDATE webflow.extractions SET read_value = read_value + 0.01",
            "sales: 3 conversions (3.01) read, but 3 conversions (3.00) accounted for",
        ),
        (
            f"UPDATE webflow.conversions SET state = 'ready', settled_at = NULL WHERE id = ({CONVERSION})",
            "sales: 1 conversion (1.00) ready, not sent",
        ),
        (
            f"UPDATE webflow.conversions SET state = 'rejected', reason = 'invalid_value' WHERE id = ({CONVERSION})",
            "the pushes counted 3 accepted conversions, the ledger has 2",
        ),
        ("UPDATE webflow.extractions SET ended_at = NULL", "sales: was not read to its end"),
    ],
)
def test_whatever_is_broken_is_told_with_its_figures(sent: Night, damage: str, sentence: str) -> None:
    sent.sql(damage)
    assert sentence in problems(sent)


def test_each_source_has_its_own_account(night: Night) -> None:
    night.person()
    night.sale("a", value=5)
    run = replace(night.begin(), sources=["sales", "deals"])
    night.extract(run)
    night.rules = replace(night.rules, source="deals")
    night.sale("b", value=7)
    night.extract(run)
    night.sql("DELETE FROM webflow.conversions WHERE source = 'deals' AND conversion_id = 'b'")
    accounts = night.runs.accounts(run, {DESTINATION: run.sources}, NOW)
    assert accounts["sales"].states == {("ready", None): Amount(rows=1, value=Decimal(5))}
    assert accounts["deals"].states == {
        ("ready", None): Amount(rows=1, value=Decimal(5)),
        ("missing", None): Amount(rows=1, value=Decimal(7)),
    }
    assert "deals: 1 conversion (7.00) recorded, but gone from the ledger" in night.problems(run)


def test_what_a_later_run_changed_does_not_disturb_the_account_of_an_earlier_one(night: Night) -> None:
    night.person()
    night.sale("a", value=5)
    run = night.read()
    night.sql("UPDATE sales SET value = 6")
    later = night.begin("later")
    night.extract(later)
    assert night.problems(run) == ["sales: 1 conversion (6.00) ready, not sent"]
    assert night.problems(later) == ["sales: 1 conversion (6.00) ready, not sent"]


def test_of_two_tries_of_an_extraction_the_last_complete_one_counts(night: Night) -> None:
    night.person()
    night.sale("a", value=5)
    run = night.begin()
    night.extract(run)
    night.sale("b", value=7)
    night.extract(run)
    night.sql("INSERT INTO webflow.extractions (run, source, started_at) VALUES (%s, 'sales', now())", run.id)
    account = night.runs.accounts(run, {DESTINATION: run.sources}, NOW)["sales"]
    assert account.tally.read == Amount(rows=2, value=Decimal(12))
    assert sum(account.states.values(), Amount()) == account.tally.recorded


# A run whose tasks were cleared


def unread(night: Night) -> list[str]:
    """The sources that the deadline's notice would call unread."""
    run = stake(night.session, "nightly", NOW, {DESTINATION: ["sales", "deals"]}, NOW).run
    assert run is not None
    return list(run.unread_sources)


def test_a_run_cleared_from_plan_on_is_open_until_its_sources_are_read_again(sent: Night, simulator: SimulatorProcess) -> None:
    assert unread(sent) == []
    sent.sale("late")
    run = sent.begin()
    assert sent.problems(run) == ["sales: was not read to its end"]
    assert unread(sent) == ["sales"]
    sent.extract(run)
    sent.identify(run, just_asked=False)
    assert sent.problems(run) == ["sales: 1 conversion (10.00) ready, not sent"]
    assert unread(sent) == []
    sent.push(run, simulator.url, try_number=2)
    assert sent.problems(run) == []
    assert sent.row("late").state == "accepted"


def test_a_reading_that_began_before_plan_opened_the_run_anew_does_not_count_however_late_it_ends(night: Night) -> None:
    run = night.begin()
    before = Extraction(night.session, run, night.rules, "configuration")
    before.begin(NOW)
    night.begin()
    before.end(Tally(), Met(), NOW + HOUR)
    assert night.problems(run) == ["sales: was not read to its end"]


def test_a_plan_that_is_tried_again_before_anything_was_read_changes_nothing(night: Night, simulator: SimulatorProcess) -> None:
    night.begin()
    run = night.ready(1)
    night.push(run, simulator.url)
    assert night.problems(run) == []


def test_where_only_later_tasks_are_cleared_what_was_read_still_counts(sent: Night) -> None:
    run = replace(sent.begin("another", is_whole=False), id=1, run_id="run")
    sent.identify(run, just_asked=False)
    assert sent.problems(run) == []
    assert unread(sent) == []


def test_a_source_is_unread_though_another_of_the_run_was_read(night: Night) -> None:
    run = night.begin()
    night.sql("UPDATE webflow.runs SET sources = '{sales,deals}'")
    night.extract(run)
    assert unread(night) == ["deals"]


# What came too late


def test_what_grows_too_old_while_the_run_lasts_is_a_problem_of_that_run_and_of_no_later_one(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(hours=47, minutes=49), value=9)
    run = night.read()
    night.clock.at = NOW + timedelta(minutes=12)
    expire_waiting(night.session, run.run_id, night.clock.at)
    assert night.states() == {"a": ("expired", "expired_unsent")}
    assert night.problems(run) == ["sales: 1 conversion (9.00) grew older than 2 days without being accepted (expired_unsent)"]
    assert night.problems(night.read("later")) == []


def test_what_came_at_the_last_moment_and_grew_too_old_is_no_problem(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(hours=47, minutes=59), value=9)
    run = night.read()
    night.clock.at = NOW + timedelta(minutes=2)
    expire_waiting(night.session, run.run_id, night.clock.at)
    assert night.states() == {"a": ("expired", "expired_unsent")}
    assert night.problems(run) == []


def test_a_loss_is_told_even_by_a_run_for_other_sources(night: Night) -> None:
    night.person()
    night.sale("a", ago=47 * HOUR, value=9)
    night.read()
    night.clock.at = NOW + 2 * HOUR
    run = replace(night.begin("later"), sources=[])
    night.identify(run)
    assert night.problems(run) == ["sales: 1 conversion (9.00) grew older than 2 days without being accepted (expired_unsent)"]


def test_what_was_in_doubt_and_grew_too_old_is_a_problem(night: Night, simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "drop_after"}])
    run = night.ready(1)
    night.push(run, simulator.url, attempts_per_run=1)
    night.clock.at = NOW + 9 * HOUR
    later = night.read("later")
    assert night.states() == {"c1": ("expired", "expired_in_doubt")}
    assert night.problems(later) == [
        "sales: 1 conversion (1.00) grew older than 2 days without being accepted (expired_in_doubt)"
    ]


def test_what_nobody_could_have_sent_is_no_problem(night: Night) -> None:
    night.sale("too late", ago=50 * HOUR)
    night.sale("stranger", ago=47 * HOUR, key="stranger")
    night.read()
    night.clock.at = NOW + 2 * HOUR
    run = night.read("later")
    assert set(night.states().values()) == {("expired", "expired_before_seen"), ("expired", "expired_unidentified")}
    assert night.problems(run) == []


# The record


def test_the_run_s_record_has_its_window_its_counts_by_state_and_reason_and_the_api_s_clock(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person()
    night.sale("a", value="10.50")
    night.sale("b", key="stranger", value=1)
    night.sale("c", value=-1)
    window = Window.of_date(date(2026, 11, 23))
    run = night.read("manual__1", window=window, clock_offset=timedelta(seconds=-3))
    night.push(run, simulator.url)
    accounts, pushes = night.runs.accounts(run, {DESTINATION: run.sources}, NOW), night.runs.pushes(run)
    night.runs.end(run, night.verdict(run), counts(accounts, pushes))
    (row,) = night.sql(
        "SELECT run_id, window_start, window_end, outcome, problems, clock_offset_ms, counts #> '{sources,sales,states}',"
        " counts #>> '{sources,sales,read,rows}', counts #>> '{sources,sales,sent,value}' FROM webflow.runs"
    )
    day = datetime(2026, 11, 23, tzinfo=UTC)
    assert row[:6] == ("manual__1", day, day + timedelta(days=1), "succeeded", [], -3000)
    assert row[6] == {
        "accepted": {"": {"rows": 1, "value": "10.50"}},
        "held": {"unknown_user": {"rows": 1, "value": "1.00"}},
        "rejected": {"negative_value": {"rows": 1, "value": "0"}},
    }
    assert row[7:] == ("3", "10.50")


def test_the_daily_summary_has_a_row_for_each_day_and_fate(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("late evening", at="2026-11-22 23:59:59.999+00", value=1)
    night.sale("midnight", at="2026-11-23 00:00:00+00", value=2)
    night.sale("noon", at="2026-11-23 12:00:00+00", value=4)
    night.sale("nobody's", at="2026-11-23 12:00:00+00", key="stranger", value=8)
    night.sale("never", at="infinity")
    simulator.faults([{"action": "drop_after", "times": 1, "action_id": "webflow_default/sales/offline-purchase/noon"}])
    night.push(night.read(), simulator.url)
    night.sql("UPDATE sales SET value = 5 WHERE conversion_id = 'noon'")
    night.read("second")
    found = night.sql(
        "SELECT day::text, destination, source, event_name, state, reason, conversions, value, sent_more_than_once, changed_after_sent"
        " FROM webflow.daily_summary ORDER BY day, state"
    )
    same = ("webflow_default", "sales", "offline-purchase")
    assert found == [
        ("2026-11-22", *same, "accepted", None, 1, Decimal("1.00"), 0, 0),
        ("2026-11-23", *same, "accepted", None, 2, Decimal("6.00"), 1, 1),
        ("2026-11-23", *same, "held", "unknown_user", 1, Decimal("8.00"), 0, 0),
        (None, *same, "rejected", "invalid_timestamp", 1, Decimal("10.00"), 0, 0),
    ]


def test_what_is_ready_for_a_source_s_former_destination_is_not_due_though_another_source_goes_there_now(night: Night) -> None:
    night.person()
    night.sale("a")
    run = replace(night.read(), sources=["sales", "deals"])
    destinations = {"another_webflow": ["sales"], DESTINATION: ["deals"]}
    assert night.runs.accounts(run, {DESTINATION: ["sales"]}, NOW)["sales"].ready == {None: Amount(rows=1, value=Decimal(10))}
    assert night.runs.accounts(run, destinations, NOW)["sales"].ready == {}
    assert night.runs.accounts(run, destinations, NOW)["deals"].ready == {}
    assert stake(night.session, "nightly", NOW, {DESTINATION: ["sales"]}, NOW).ready == {None: Amount(rows=1, value=Decimal(10))}
    assert stake(night.session, "nightly", NOW, destinations, NOW).ready == {}
