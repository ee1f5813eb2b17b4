"""Nights in which nothing or too little arrived are never green, whatever their size (``docs/verdicts.md``)."""

from datetime import timedelta
from decimal import Decimal

import pytest

from demo.simulator import SimulatorProcess
from tests.night import DESTINATION, Night
from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.pipeline.reconciliation import counts
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.verdict import Finding, Verdict
from webflow_conversions.rules.amounts import Amount

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def sales(night: Night, rows: int, name: str, value: str = "1", ago: timedelta = HOUR, key: str = "k1") -> None:
    """Rows of the source, numbered by ``g`` in the SQL expressions ``name`` and ``value``."""
    night.sql(
        f"INSERT INTO sales SELECT {name}, %s, %s, {value} FROM generate_series(0, %s - 1) g", night.clock.at - ago, key, rows
    )


def a_night(night: Night, simulator: SimulatorProcess, name: str = "tonight", **guards: object) -> Verdict:
    """The whole way of a run, and the verdict on it, kept in its record."""
    run = night.read(name)
    night.push(run, simulator.url)
    return reconciled(night, run, **guards)


def reconciled(night: Night, run: Run, **guards: object) -> Verdict:
    verdict = night.verdict(run, **guards)
    accounts = night.runs.accounts(run, {DESTINATION: run.sources}, night.clock.at)
    night.runs.end(run, verdict, counts(accounts, night.runs.pushes(run)))
    return verdict


def only(verdict: Verdict, cause: Cause) -> Finding:
    (finding,) = [finding for finding in verdict.findings if finding.cause is cause]
    return finding


def test_a_night_in_which_all_that_was_due_is_accepted_is_good(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    for number in range(3):
        night.sale(f"s{number}")
    assert a_night(night, simulator) == Verdict()
    assert night.sql("SELECT outcome, problems, verdict ->> 'level' FROM webflow.runs") == [("succeeded", [], "good")]


@pytest.mark.parametrize("rows", [1, 60])
def test_a_source_whose_rows_are_all_rejected_needs_somebody(night: Night, simulator: SimulatorProcess, rows: int) -> None:
    night.person()
    for number in range(rows):
        night.sale(f"s{number}", value=-1)
    verdict = a_night(night, simulator)
    finding = only(verdict, Cause.NOTHING_SENDABLE)
    assert (verdict.level, finding.amount.rows) == (Level.ATTENTION, rows)
    assert f"negative_value {rows}" in finding.sentence
    assert a_night(night, simulator, "the night after").level is Level.ATTENTION


@pytest.mark.parametrize("rows", [1, 60])
def test_a_source_whose_users_are_all_unknown_needs_somebody(night: Night, simulator: SimulatorProcess, rows: int) -> None:
    night.person("known", "u1")
    for number in range(rows):
        night.sale(f"s{number}", key=f"KNOWN{number}", value=5)
    verdict = a_night(night, simulator)
    assert verdict.level is Level.ATTENTION
    assert only(verdict, Cause.NOBODY_KNOWN).amount == Amount(rows=rows, value=Decimal(5 * rows))


def test_a_new_night_whose_users_are_all_unknown_needs_somebody_though_the_query_returns_accepted_ones_of_before(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person()
    night.sale("old")
    assert a_night(night, simulator, "first").level is Level.GOOD
    night.clock.at += 3 * DAY
    night.sale("new", key="stranger")
    assert only(a_night(night, simulator, "later"), Cause.NOBODY_KNOWN).amount.rows == 1


def test_held_rows_that_grow_old_are_told_once_with_their_money(night: Night, simulator: SimulatorProcess) -> None:
    sales(night, 60, "g", value="2", key="stranger")
    a_night(night, simulator, "held")
    night.sql("DELETE FROM sales")
    night.clock.at += 3 * DAY
    verdict = a_night(night, simulator, "expired")
    assert verdict.level is Level.ATTENTION
    assert only(verdict, Cause.EXPIRED_UNIDENTIFIED).amount == Amount(rows=60, value=Decimal(120))
    assert a_night(night, simulator, "the night after", empty_source=False).level is Level.GOOD


def test_beside_accepted_ones_those_without_a_user_that_grow_old_are_a_note(night: Night, simulator: SimulatorProcess) -> None:
    night.sale("stranger", key="stranger", ago=47 * HOUR)
    night.person()
    night.sale("known")
    a_night(night, simulator, "first")
    night.clock.at += 2 * HOUR
    verdict = a_night(night, simulator, "second")
    assert (verdict.level, only(verdict, Cause.EXPIRED_UNIDENTIFIED).amount.rows) == (Level.NOTE, 1)


def test_a_source_whose_rows_are_all_older_than_30_days_needs_somebody(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    sales(night, 300, "g", ago=40 * DAY)
    finding = only(a_night(night, simulator), Cause.NOTHING_SENDABLE)
    assert finding.amount.rows == 300
    assert "older than 30 days 300" in finding.sentence


def test_a_query_that_returns_more_than_the_window_is_good_when_nothing_was_sold_for_2_days(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person()
    night.sale("a")
    a_night(night, simulator, "first")
    night.clock.at += 4 * DAY
    assert a_night(night, simulator, "quiet").level is Level.GOOD


def test_a_source_that_returns_nothing_is_noted_and_good_where_it_is_empty_by_design(
    night: Night, simulator: SimulatorProcess
) -> None:
    assert [finding.cause for finding in a_night(night, simulator).findings] == [Cause.NOTHING_READ]
    assert a_night(night, simulator, "by design", empty_source=False) == Verdict()


def test_a_refusal_by_webflow_is_told_in_its_own_words_counted_by_them(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    for number in range(6):
        night.sale(f"good{number}", value=1)
    night.push(night.read("first"), simulator.url)
    for number in range(3):
        night.sale(f"bad{number}", value=10)
    simulator.faults([{"action": "status", "status": 422}])
    run = night.read("second")
    night.push(run, simulator.url)
    simulator.faults([])
    night.sql(
        "UPDATE webflow.conversions SET state = 'rejected', reason = 'refused_422', trouble = 'goal is archived',"
        " settled_at = clock_timestamp(), run_id = 'second' WHERE conversion_id LIKE 'bad%'"
    )
    night.clock.at += HOUR
    verdict = reconciled(night, run)
    finding = only(verdict, Cause.REFUSED)
    assert (verdict.level, finding.amount) == (Level.ATTENTION, Amount(rows=3, value=Decimal(30)))
    assert finding.sentence == "sales: Webflow refused 3 conversions (30.00): HTTP 422 “goal is archived” (3)"


def test_different_orders_with_one_id_are_conflicting_and_need_somebody_beyond_the_share(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person()
    sales(night, 400, "'name ' || g %% 302", value="g")
    verdict = a_night(night, simulator)
    assert only(verdict, Cause.CONFLICTING_IDS).amount.rows == 98
    assert verdict.level is Level.ATTENTION
    assert night.sql("SELECT duplicate_rows, conflicting_rows FROM webflow.extractions") == [(0, 98)]


def test_a_few_conflicting_ids_are_a_note(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    sales(night, 40, "'s' || g")
    night.sale("s1", value=7)
    assert a_night(night, simulator).level is Level.NOTE
    assert a_night(night, simulator, "again", conflicting_share=0.01).level is Level.ATTENTION


def test_a_fall_against_the_usual_of_the_weekday_is_noted_and_a_first_night_has_no_usual(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person()
    usual: list[Level] = []
    for week in range(3):
        night.sql("DELETE FROM sales")
        sales(night, 100 if week < 2 else 10, f"'week {week} ' || g")
        run = night.read(f"week {week}")
        night.sql("UPDATE webflow.runs SET is_whole = true WHERE id = %s", run.id)
        night.runs.approve(run)
        night.push(run, simulator.url)
        usual.append(reconciled(night, run).level)
        last = run
        night.clock.at += 7 * DAY
    assert usual == [Level.GOOD, Level.GOOD, Level.NOTE]
    night.clock.at -= 7 * DAY
    finding = only(night.verdict(last), Cause.VOLUME_FELL)
    assert (
        finding.sentence == "sales: 10 rows (10.00) read, and 100 are usual on this weekday (the last 2): some 90.00 are missing"
    )
    assert night.verdict(last, fall="attention").level is Level.ATTENTION
    assert night.verdict(last, fall_factor=None).level is Level.GOOD


def test_another_weekday_is_not_compared(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    for day in range(3):
        night.sql("DELETE FROM sales")
        sales(night, 100 if day < 2 else 10, f"'day {day} ' || g")
        run = night.read(f"day {day}")
        night.sql("UPDATE webflow.runs SET is_whole = true WHERE id = %s", run.id)
        night.push(run, simulator.url)
        assert reconciled(night, run).level is Level.GOOD
        night.clock.at += DAY
