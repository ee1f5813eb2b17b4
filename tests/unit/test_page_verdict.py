"""What the page says first: will tonight's conversions make it, and if not, why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.ledger.overview import LedgerRun, OverviewData
from webflow_conversions.pipeline.verdict import Cause, Finding
from webflow_conversions.pipeline.verdict import Level as Worst
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.ui.verdict import AirflowRun, DagNow, Level, verdict

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
TEN, SWEEP = NOW.replace(hour=22, minute=0), NOW.replace(hour=23, minute=15)
TOMORROW = TEN + timedelta(days=1)
MINUTE = timedelta(minutes=1)

READY = {"shop": Amount(rows=312, value=Decimal("45120.00"))}
NOTHING: dict[str, Amount] = {}


def airflow_run(state: str = "success", at: datetime = TEN, **more: Any) -> AirflowRun:
    return AirflowRun(run_id=f"run of {at:%d %H:%M}", run_type="scheduled", state=state, run_after=at, **more)


def ledger_run(at: datetime = TEN, **more: Any) -> LedgerRun:
    given: dict[str, Any] = {
        "id": 1,
        "run_id": f"run of {at:%d %H:%M}",
        "run_type": "scheduled",
        "window_start": at - timedelta(days=2),
        "window_end": at,
        "sources": ["shop"],
        "dry_run": False,
        "is_whole": True,
        "started_at": at,
        "approved_at": at + MINUTE,
        "ended_at": at + 3 * MINUTE,
        "outcome": "succeeded",
        "problems": [],
        "verdict": None,
        "counts": {},
        "forecasts": {},
        "sent": {"shop": Amount(rows=1204, value=Decimal("99000.50"))},
    }
    return LedgerRun(**given | more)


def forecast(at: datetime = NOW, *, late: Amount | None = None, expiring: Amount | None = None) -> Forecast:
    """The queue is empty 4 minutes after ``at``, and the push was to write the next forecast within a minute."""
    total = Amount(rows=20_400, value=Decimal("45120.00"))
    waiting = Waiting(total=total, late=late or Amount(), expiring=expiring or Amount())
    return Forecast(at=at, stands_until=at + MINUTE, rows_per_second=85.0, waiting=waiting)


def going(**more: Any) -> OverviewData:
    """A run is sending."""
    run = ledger_run(ended_at=None, outcome=None, **more)
    return OverviewData(at=NOW, runs=[run], ready=READY)


def said(data: OverviewData, dag: DagNow, now: datetime = NOW) -> tuple[Level, str]:
    found = verdict(data, dag, now)
    return found.level, f"{found.headline} {' '.join(found.details)}".strip()


def test_when_all_is_out_it_says_how_much():
    level, text = said(OverviewData(at=NOW, runs=[ledger_run()]), DagNow(runs=[airflow_run()], next_run_at=TOMORROW))

    assert level is Level.GOOD
    assert text == "All that could go out tonight is out: 1,204 conversions (worth 99,000.50)."


def test_both_runs_of_a_night_count():
    runs = [ledger_run(SWEEP, id=2, sent={"shop": Amount(rows=6, value=Decimal(9))}), ledger_run()]

    _, text = said(OverviewData(at=NOW, runs=runs), DagNow(runs=[airflow_run(at=SWEEP), airflow_run()], next_run_at=TOMORROW))

    assert "1,210 conversions (worth 99,009.50)" in text


def test_a_run_on_its_way_says_when_it_will_be_done():
    level, text = said(going(forecasts={"webflow": forecast()}), DagNow(runs=[airflow_run("running")]))

    assert level is Level.WORKING
    assert text == (
        "312 conversions (worth 45,120.00) are on their way: done at 23:34 UTC, 26 min before the import. 85 a second go out."
    )


def test_what_comes_too_late_is_the_headline():
    late = forecast(late=Amount(rows=40, value=Decimal("800.00")))

    level, text = said(going(forecasts={"webflow": late}), DagNow(runs=[airflow_run("running")]))

    assert level is Level.BAD
    assert text.startswith("At this rate 40 conversions (worth 800.00) miss the import at 00:00 UTC.")


def test_an_old_forecast_promises_nothing():
    stale = forecast(at=NOW - 3 * MINUTE, late=Amount(rows=40, value=Decimal("800.00")))

    level, text = said(going(forecasts={"webflow": stale}), DagNow(runs=[airflow_run("running")]))

    assert level is Level.WORKING
    assert "the rate is not known yet" in text


def test_what_expires_before_its_turn_is_told():
    lost = forecast(expiring=Amount(rows=3, value=Decimal(30)))

    _, text = said(going(forecasts={"webflow": lost}), DagNow(runs=[airflow_run("running")]))

    assert "3 conversions (worth 30.00) grow older than 2 days before their turn" in text


def test_a_rest_that_webflow_asked_for_is_told():
    data = replace(going(forecasts={"webflow": forecast()}), rests_until={"webflow": NOW + 2 * MINUTE})

    level, text = said(data, DagNow(runs=[airflow_run("running")]))

    assert level is Level.WARNING
    assert "Webflow asked webflow to wait until 23:32:00 UTC." in text


def test_before_it_may_send_a_run_is_said_to_read():
    level, text = said(going(approved_at=None), DagNow(runs=[airflow_run("running")]))

    assert (level, text) == (
        Level.WORKING,
        "The run reads the sources and looks for known users. 312 conversions (worth 45,120.00) wait for it.",
    )


def test_a_failed_run_that_leaves_something_says_what_and_why():
    data = OverviewData(
        at=NOW, runs=[ledger_run(outcome="failed", problems=["shop: 312 ready, not sent (last trouble: HTTP 503)"])], ready=READY
    )

    found = verdict(data, DagNow(runs=[airflow_run("failed")], next_run_at=TOMORROW), NOW)

    assert found.level is Level.BAD
    assert (
        found.headline == "312 conversions (worth 45,120.00) are ready, and tonight's run failed: they miss the import in 30 min."
    )
    assert found.details == ["Shop: 312 ready, not sent (last trouble: HTTP 503)."]
    assert found.can_start
    assert found.run_id == "run of 23 22:00"


def test_a_run_that_failed_without_a_word_says_which_task_failed_first():
    dag = DagNow(runs=[airflow_run("failed", failed_tasks=["plan", "reconcile"])], next_run_at=TOMORROW)

    _, text = said(OverviewData(at=NOW, ready=READY), dag)

    assert text.endswith("Plan failed and left no sentence: it was ended from outside, or could not reach the ledger.")


def refused(at: datetime = TEN) -> LedgerRun:
    """The record of a run that plan did not open."""
    cause = Finding(
        cause=Cause.TASK_FAILED, level=Worst.FAILED, source="", sentence="plan: There is no connection warehouse: create it"
    )
    nothing: dict[str, Any] = {"window_start": None, "window_end": None, "sources": [], "approved_at": None, "ended_at": None}
    return ledger_run(at, **nothing, is_whole=False, outcome=None, sent={}, id=9, problems=[cause.sentence], causes=[cause])


def test_a_plan_that_refused_says_why_in_its_own_sentence_and_what_to_do():
    dag = DagNow(runs=[airflow_run("failed", failed_tasks=["plan"])], next_run_at=TOMORROW)

    found = verdict(OverviewData(at=NOW, runs=[refused()], ready=READY), dag, NOW)

    assert found.details == [
        "Plan: There is no connection warehouse: create it.",
        "Do what the sentence says, then clear the task.",
    ]
    assert found.run_id == "run of 23 22:00"


def test_the_sweep_is_waited_for():
    now = TEN + 5 * MINUTE
    dag = DagNow(runs=[airflow_run("failed", failed_tasks=["push"])], next_run_at=SWEEP)

    level, text = said(OverviewData(at=now, ready=READY), dag, now)

    assert level is Level.WARNING
    assert text.startswith("312 conversions (worth 45,120.00) wait for the run at 23:15 UTC.")


@pytest.mark.parametrize(
    ("ready", "headline"),
    [
        (NOTHING, "The Dag is paused: nothing is sent tonight."),
        (READY, "312 conversions (worth 45,120.00) are ready, and the Dag is paused: they miss the import in 30 min."),
    ],
)
def test_a_paused_dag_is_bad_news(ready: dict[str, Amount], headline: str):
    found = verdict(OverviewData(at=NOW, ready=ready), DagNow(is_paused=True, runs=[], next_run_at=TOMORROW), NOW)

    assert (found.level, found.headline) == (Level.BAD, headline)


def test_a_run_that_waits_in_a_paused_dag_is_not_under_way():
    dag = DagNow(is_paused=True, runs=[airflow_run("queued")], next_run_at=TOMORROW)

    assert verdict(OverviewData(at=NOW, ready=READY), dag, NOW).level is Level.BAD


def test_what_is_ready_and_has_no_run_before_the_import_is_bad_news():
    level, text = said(OverviewData(at=NOW, runs=[ledger_run()], ready=READY), DagNow(runs=[airflow_run()], next_run_at=TOMORROW))

    assert level is Level.BAD
    assert "no run comes before the import in 30 min" in text


def test_by_day_it_says_when_the_run_starts_and_how_the_night_before_was():
    now = NOW.replace(hour=9)
    last = TEN - timedelta(days=1)

    level, text = said(OverviewData(at=now, runs=[ledger_run(last)]), DagNow(runs=[airflow_run(at=last)], next_run_at=TEN), now)

    assert level is Level.WAITING
    assert text == (
        "Tonight's run starts at 22:00 UTC, in 12 h 30 min. The night before, 1,204 conversions (worth 99,000.50) were accepted."
    )


def test_a_run_that_is_overdue_is_bad_news():
    now = TEN + 6 * MINUTE

    assert said(OverviewData(at=now), DagNow(runs=[], next_run_at=TEN), now)[0] is Level.BAD
    assert said(OverviewData(at=now), DagNow(runs=[], next_run_at=TEN), TEN + 4 * MINUTE)[0] is Level.WAITING


def test_a_failed_run_with_nothing_left_is_a_warning():
    data = OverviewData(at=NOW, runs=[ledger_run(outcome="failed", problems=["crm: was not read to its end"])])

    level, text = said(data, DagNow(runs=[airflow_run("failed")], next_run_at=TOMORROW))

    assert level is Level.WARNING
    assert "Crm: was not read to its end." in text


def test_a_backfill_says_nothing_of_tonight():
    backfill = AirflowRun(run_id="b", run_type="backfill", state="failed", run_after=TEN)

    assert said(OverviewData(at=NOW), DagNow(runs=[backfill], next_run_at=TOMORROW))[0] is Level.WAITING


def test_without_any_run_it_says_how_to_begin():
    _, text = said(OverviewData(at=NOW), DagNow(runs=[], next_run_at=TOMORROW))

    assert "Nothing has run yet" in text


def test_a_dag_that_airflow_cannot_read_is_bad_news():
    assert said(OverviewData(at=NOW, ready=READY), DagNow(is_there=False))[0] is Level.BAD


def test_what_a_catch_up_run_got_accepted_today_is_told():
    now = NOW.replace(hour=15)
    caught_up = ledger_run(NOW.replace(hour=14))
    dag = DagNow(runs=[airflow_run(at=TEN - timedelta(days=1))], next_run_at=TEN)

    _, text = said(OverviewData(at=now, runs=[caught_up]), dag, now)

    assert "1,204 conversions (worth 99,000.50) accepted today are imported at midnight." in text


# Runs that say nothing of tonight


def by_hand(at: datetime, state: str = "success", **more: Any) -> AirflowRun:
    return replace(airflow_run(state, at, **more), run_type="manual")


MORNING = NOW.replace(hour=9)


def test_a_run_that_is_not_whole_does_not_settle_the_night():
    now = MORNING + timedelta(hours=1)
    data = OverviewData(at=now, runs=[ledger_run(MORNING, sent={}, is_whole=False)])

    level, text = said(data, DagNow(runs=[by_hand(MORNING)], next_run_at=TEN), now)

    assert level is Level.WAITING
    assert text.startswith("Tonight's run starts at 22:00 UTC")


@pytest.mark.parametrize("asked", [{"dry_run": True}, {"is_partial": True}])
@pytest.mark.parametrize("ready", [NOTHING, READY])
def test_a_run_that_was_refused_and_is_dry_or_partial_says_nothing_of_the_night(asked: dict[str, Any], ready: dict[str, Amount]):
    now = MORNING + timedelta(hours=1)

    level, text = said(
        OverviewData(at=now, ready=ready), DagNow(runs=[by_hand(MORNING, "failed", **asked)], next_run_at=TEN), now
    )

    assert level is Level.WAITING
    assert "failed" not in text


@pytest.mark.parametrize("is_recorded", [False, True])
def test_nothing_waits_for_a_dry_run(is_recorded: bool):
    dry = ledger_run(MORNING, dry_run=True, approved_at=None, ended_at=None, outcome=None)
    dag = DagNow(runs=[by_hand(MORNING, "running", dry_run=True)], next_run_at=TEN)

    _, text = said(OverviewData(at=MORNING, runs=[dry] if is_recorded else [], ready=READY), dag, MORNING + MINUTE)

    assert text.startswith("312 conversions (worth 45,120.00) wait for the run at 22:00 UTC.")


def test_a_run_by_hand_whose_refusal_is_recorded_takes_nothing_back_either():
    by_somebody = by_hand(SWEEP + 30 * MINUTE, "failed", failed_tasks=["plan"])
    data = OverviewData(at=NOW, runs=[replace(refused(SWEEP + 30 * MINUTE), run_id=by_somebody.run_id), ledger_run()])

    level, text = said(data, DagNow(runs=[by_somebody, airflow_run()]))

    assert (level, text) == (Level.GOOD, "All that could go out tonight is out: 1,204 conversions (worth 99,000.50).")


def test_a_run_by_hand_that_was_refused_takes_nothing_back_of_the_night():
    refused = by_hand(SWEEP + 30 * MINUTE, "failed", failed_tasks=["plan"])
    runs = [refused, airflow_run(at=SWEEP), airflow_run()]

    level, text = said(OverviewData(at=NOW, runs=[ledger_run(SWEEP, id=2, sent={}), ledger_run()]), DagNow(runs=runs))

    assert (level, text) == (Level.GOOD, "All that could go out tonight is out: 1,204 conversions (worth 99,000.50).")


def test_a_run_by_hand_that_was_refused_is_why_something_still_waits():
    refused = by_hand(SWEEP + 10 * MINUTE, "failed", failed_tasks=["plan"])

    _, text = said(
        OverviewData(at=NOW, runs=[ledger_run()], ready=READY), DagNow(runs=[refused, airflow_run()], next_run_at=TOMORROW)
    )

    assert text.endswith("Plan failed and left no sentence: it was ended from outside, or could not reach the ledger.")


# The morning after

LAST_NIGHT = TEN - timedelta(days=1)
FAILED = {"outcome": "failed", "problems": ["shop: 312 ready, not sent (last trouble: HTTP 503)"]}


def test_the_morning_after_a_failed_night_says_why_something_waits():
    data = OverviewData(at=MORNING, runs=[ledger_run(LAST_NIGHT, **FAILED)], ready=READY)

    found = verdict(data, DagNow(runs=[airflow_run("failed", LAST_NIGHT)], next_run_at=TEN), MORNING)

    assert found.level is Level.WARNING
    assert found.headline == "312 conversions (worth 45,120.00) wait for the run at 22:00 UTC."
    assert found.details == ["The last run failed: Shop: 312 ready, not sent (last trouble: HTTP 503)."]
    assert (found.run_id, found.can_start) == ("run of 22 22:00", True)


def test_what_the_next_run_comes_too_late_for_is_the_headline():
    lost = {"shop": Amount(rows=40, value=Decimal(800))}
    data = OverviewData(at=MORNING, runs=[ledger_run(LAST_NIGHT, **FAILED)], ready=READY, expiring=lost)

    level, text = said(data, DagNow(runs=[airflow_run("failed", LAST_NIGHT)], next_run_at=TEN), MORNING)

    assert level is Level.BAD
    assert text == (
        "40 conversions (worth 800.00) grow older than 2 days before the run at 22:00 UTC, and are lost then. "
        "312 conversions (worth 45,120.00) are ready. Start a run now: it sends them all. "
        "The last run failed: Shop: 312 ready, not sent (last trouble: HTTP 503)."
    )


@pytest.mark.parametrize("state", ["failed", "success"])
def test_after_the_last_run_of_the_night_too_it_says_what_is_lost_before_the_next(state: str):
    data = OverviewData(at=NOW, runs=[ledger_run()], ready=READY, expiring={"shop": Amount(rows=2)})

    _, text = said(data, DagNow(runs=[airflow_run(state)], next_run_at=TOMORROW))

    assert "2 conversions grow older than 2 days before the run on 24 Nov 22:00 UTC, and are lost then." in text
