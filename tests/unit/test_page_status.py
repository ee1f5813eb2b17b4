"""What the page says first: will tonight's conversions make it, and if not, why not."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.ledger.overview import LedgerRun, OverviewData, SourceExtraction
from webflow_conversions.pipeline.causes import Cause
from webflow_conversions.pipeline.causes import Level as VerdictLevel
from webflow_conversions.pipeline.verdict import Finding, Verdict, finding_of, not_sent, unread
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.ui.headline import Level, in_words
from webflow_conversions.ui.night import AirflowRun, DagNow, Night, Prospects, Stage
from webflow_conversions.ui.rehearsal import band_of
from webflow_conversions.ui.status import _QUERIES, Status, status

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


def failed_run(at: datetime = TEN, *findings: Finding, **more: Any) -> LedgerRun:
    """A run whose verdict is red by these findings."""
    given = {"outcome": "failed", "verdict": Verdict(findings=findings), "causes": findings, "sent": {}}
    return ledger_run(at, **given | more)


NOT_SENT = not_sent("shop", "HTTP 503", READY["shop"])
TROUBLES = {"shop": {"HTTP 503": READY["shop"]}}


def said(data: OverviewData, dag: DagNow, now: datetime = NOW) -> tuple[Level, str]:
    found = status(data, dag, now)
    return found.level, " ".join([*([found.cause] if found.cause else []), found.headline, *found.details])


def test_when_all_is_out_it_says_how_much():
    level, text = said(OverviewData(at=NOW, runs=[ledger_run()]), DagNow(runs=[airflow_run()], next_run_at=TOMORROW))

    assert level is Level.GOOD
    assert text == "All that could go out tonight is out: 1,204 conversions (worth 99,000.50)."


@pytest.mark.parametrize("has_sweep", [False, True])
def test_what_webflow_possibly_received_is_told_for_the_whole_night(has_sweep):
    sentence = "shop: 3 conversions (30.00) possibly received: each answer was a success, and not our event"
    finding = Finding(cause=Cause.POSSIBLY_RECEIVED, level=VerdictLevel.FAILED, source="shop", sentence=sentence)
    runs = [*([ledger_run(SWEEP, id=2)] if has_sweep else []), failed_run(TEN, finding)]
    asked = [*([airflow_run(at=SWEEP)] if has_sweep else []), airflow_run("failed")]

    level, text = said(OverviewData(at=NOW, runs=runs), DagNow(runs=asked, next_run_at=TOMORROW))

    assert level is Level.FAILED
    assert sentence in text


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

    assert level is Level.FAILED
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
    data = replace(going(forecasts={"webflow": forecast()}), paused_until={"webflow": NOW + 2 * MINUTE})

    level, text = said(data, DagNow(runs=[airflow_run("running")]))

    assert level is Level.ATTENTION
    assert "Webflow asked webflow to wait until 23:32:00 UTC." in text


def test_before_it_may_send_a_run_is_said_to_read():
    level, text = said(going(approved_at=None), DagNow(runs=[airflow_run("running")]))

    assert (level, text) == (
        Level.WORKING,
        "The run reads the sources and looks for known users. 312 conversions (worth 45,120.00) wait for it.",
    )


def test_a_failed_run_that_leaves_something_says_what_and_why():
    data = OverviewData(at=NOW, runs=[failed_run(TEN, NOT_SENT)], ready=READY, troubles=TROUBLES)

    found = status(data, DagNow(runs=[airflow_run("failed")], next_run_at=TOMORROW), NOW)

    assert found.level is Level.FAILED
    assert (
        found.headline == "312 conversions (worth 45,120.00) are ready, and tonight's run failed: they miss the import in 30 min."
    )
    assert found.cause == "shop: 312 conversions (45,120.00) ready, not sent (last trouble: HTTP 503)."
    (finding,) = found.findings
    assert (finding.sentence, finding.amount, finding.query) == (
        found.cause,
        READY["shop"],
        {"state": "ready", "source": "shop"},
    )
    assert finding.remedy.startswith("Mend the cause")
    assert found.can_start
    assert found.run_id == "run of 23 22:00"


def test_a_run_that_failed_without_a_word_says_which_task_failed_first():
    dag = DagNow(runs=[airflow_run("failed", failed_tasks=["plan", "reconcile"])], next_run_at=TOMORROW)

    _, text = said(OverviewData(at=NOW, ready=READY), dag)

    assert text.startswith("Plan failed and left no sentence: it was ended from outside, or could not reach the ledger.")


def refused(at: datetime = TEN) -> LedgerRun:
    """The record of a run that plan did not open."""
    cause = Finding(
        cause=Cause.TASK_FAILED,
        level=VerdictLevel.FAILED,
        source="",
        sentence="plan: There is no connection warehouse: create it",
    )
    nothing: dict[str, Any] = {"window_start": None, "window_end": None, "sources": [], "approved_at": None, "ended_at": None}
    return ledger_run(at, **nothing, is_whole=False, outcome=None, sent={}, id=9, problems=[cause.sentence], causes=[cause])


def test_a_plan_that_refused_says_why_in_its_own_sentence_and_what_to_do():
    dag = DagNow(runs=[airflow_run("failed", failed_tasks=["plan"])], next_run_at=TOMORROW)

    found = status(OverviewData(at=NOW, runs=[refused()], ready=READY), dag, NOW)

    assert found.cause == "Plan: There is no connection warehouse: create it."
    assert [finding.remedy for finding in found.findings] == ["Do what the sentence says, then clear the task."]
    assert found.run_id == "run of 23 22:00"


def test_the_sweep_is_waited_for():
    now = TEN + 5 * MINUTE
    dag = DagNow(runs=[airflow_run("failed", failed_tasks=["push"])], next_run_at=SWEEP)

    level, text = said(OverviewData(at=now, ready=READY), dag, now)

    assert level is Level.ATTENTION
    assert "312 conversions (worth 45,120.00) wait for the run at 23:15 UTC." in text


@pytest.mark.parametrize(
    ("ready", "headline"),
    [
        (NOTHING, "The Dag is paused: nothing is sent tonight."),
        (READY, "312 conversions (worth 45,120.00) are ready, and the Dag is paused: they miss the import in 30 min."),
    ],
)
def test_a_paused_dag_is_bad_news(ready: dict[str, Amount], headline: str):
    found = status(OverviewData(at=NOW, ready=ready), DagNow(is_paused=True, runs=[], next_run_at=TOMORROW), NOW)

    assert (found.level, found.headline) == (Level.FAILED, headline)


def test_a_run_that_waits_in_a_paused_dag_is_not_under_way():
    dag = DagNow(is_paused=True, runs=[airflow_run("queued")], next_run_at=TOMORROW)

    assert status(OverviewData(at=NOW, ready=READY), dag, NOW).level is Level.FAILED


def test_what_is_ready_and_has_no_run_before_the_import_is_bad_news():
    level, text = said(OverviewData(at=NOW, runs=[ledger_run()], ready=READY), DagNow(runs=[airflow_run()], next_run_at=TOMORROW))

    assert level is Level.FAILED
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

    assert said(OverviewData(at=now), DagNow(runs=[], next_run_at=TEN), now)[0] is Level.FAILED
    assert said(OverviewData(at=now), DagNow(runs=[], next_run_at=TEN), TEN + 4 * MINUTE)[0] is Level.WAITING


def test_a_failed_run_with_nothing_left_stays_failed():
    data = OverviewData(at=NOW, runs=[failed_run(TEN, *unread(["crm"]).findings)])

    level, text = said(data, DagNow(runs=[airflow_run("failed")], next_run_at=TOMORROW))

    assert level is Level.FAILED
    assert text.startswith("crm: was not read to its end. Tonight's run failed")


def test_a_backfill_says_nothing_of_tonight():
    backfill = AirflowRun(run_id="b", run_type="backfill", state="failed", run_after=TEN)

    assert said(OverviewData(at=NOW), DagNow(runs=[backfill], next_run_at=TOMORROW))[0] is Level.WAITING


def test_without_any_run_it_says_how_to_begin():
    _, text = said(OverviewData(at=NOW), DagNow(runs=[], next_run_at=TOMORROW))

    assert "Nothing has run yet" in text


def test_a_dag_that_airflow_cannot_read_is_bad_news():
    assert said(OverviewData(at=NOW, ready=READY), DagNow(is_there=False))[0] is Level.FAILED


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

    assert text.startswith("Plan failed and left no sentence")


# The morning after

LAST_NIGHT = TEN - timedelta(days=1)


def test_the_morning_after_a_failed_night_says_why_something_waits():
    data = OverviewData(at=MORNING, runs=[failed_run(LAST_NIGHT, NOT_SENT)], ready=READY, troubles=TROUBLES)

    found = status(data, DagNow(runs=[airflow_run("failed", LAST_NIGHT)], next_run_at=TEN), MORNING)

    assert found.level is Level.ATTENTION
    assert found.headline == "312 conversions (worth 45,120.00) wait for the run at 22:00 UTC."
    assert found.cause == "shop: 312 conversions (45,120.00) ready, not sent (last trouble: HTTP 503)."
    assert (found.run_id, found.can_start) == ("run of 22 22:00", True)


def test_what_the_next_run_comes_too_late_for_is_the_headline():
    lost = {"shop": Amount(rows=40, value=Decimal(800))}
    data = OverviewData(at=MORNING, runs=[failed_run(LAST_NIGHT, NOT_SENT)], ready=READY, troubles=TROUBLES, expiring=lost)

    level, text = said(data, DagNow(runs=[airflow_run("failed", LAST_NIGHT)], next_run_at=TEN), MORNING)

    assert level is Level.FAILED
    assert text == (
        "shop: 312 conversions (45,120.00) ready, not sent (last trouble: HTTP 503). "
        "40 conversions (worth 800.00) grow older than 2 days before the run at 22:00 UTC, and are lost then. "
        "312 conversions (worth 45,120.00) are ready. Start a run now: it sends them all."
    )


@pytest.mark.parametrize("state", ["failed", "success"])
def test_after_the_last_run_of_the_night_too_it_says_what_is_lost_before_the_next(state: str):
    data = OverviewData(at=NOW, runs=[ledger_run()], ready=READY, expiring={"shop": Amount(rows=2)})

    _, text = said(data, DagNow(runs=[airflow_run(state)], next_run_at=TOMORROW))

    assert "2 conversions grow older than 2 days before the run on 24 Nov 22:00 UTC, and are lost then." in text


# The verdict of the runs


def red(cause: Cause, sentence: str, amount: Amount, level: VerdictLevel = VerdictLevel.ATTENTION) -> Finding:
    return Finding(cause=cause, level=level, source="shop", sentence=f"shop: {sentence}", amount=amount)


REFUSED = red(
    Cause.REFUSED, "Webflow refused 166 conversions (9,960.00) of 260: HTTP 422 (166)", Amount(rows=166, value=Decimal(9960))
)


def extraction(source: str, *, read: int) -> SourceExtraction:
    none = {name: Amount() for name in ("duplicates", "conflicting", "outside", "too_old")}
    return SourceExtraction(source=source, at=NOW, read=Amount(rows=read), states={}, **none)


def after(*runs: LedgerRun, **data: Any) -> Status:
    """At 23:30 UTC, when these runs have ended, the newest first."""
    dag = DagNow(
        runs=[airflow_run(run.outcome.replace("succeeded", "success"), run.started_at) for run in runs], next_run_at=TOMORROW
    )
    return status(OverviewData(at=NOW, runs=runs, **data), dag, NOW)


def test_a_refusal_is_never_all_that_could_go_out():
    found = after(failed_run(TEN, REFUSED, sent={"shop": Amount(rows=94, value=Decimal(5640))}))

    assert found.level is Level.ATTENTION
    assert found.cause == "shop: Webflow refused 166 conversions (9,960.00) of 260: HTTP 422 (166)."
    assert (
        found.headline == "Tonight needs attention: 94 conversions (worth 5,640.00) were accepted, and none is ready to go out."
    )
    assert [(finding.amount.rows, finding.query) for finding in found.findings] == [
        (166, {"state": "rejected", "source": "shop"})
    ]


def test_a_refusal_of_the_first_run_is_not_forgotten_by_the_second():
    assert after(ledger_run(SWEEP, id=2, sent={}, verdict=Verdict()), failed_run(TEN, REFUSED)).level is Level.ATTENTION


def test_what_the_second_run_mended_is_forgotten():
    found = after(ledger_run(SWEEP, id=2, verdict=Verdict()), failed_run(TEN, NOT_SENT))

    assert (found.level, found.findings) == (Level.GOOD, [])


def test_a_note_of_a_green_run_is_the_level_of_the_night():
    note = red(Cause.SENT_AGAIN, "2 of 94 accepted conversions went out more than once", Amount(), VerdictLevel.NOTE)

    found = after(ledger_run(verdict=Verdict(findings=[note])))

    assert (found.level, found.cause) == (Level.NOTE, None)
    assert found.headline.startswith("All that could go out tonight is out: 1,204 conversions")


def test_a_night_without_accepted_conversions_says_so():
    found = after(ledger_run(sent={}, verdict=Verdict()), extractions=[extraction("shop", read=0)])

    assert (found.level, found.headline) == (Level.NOTE, "Nothing arrived tonight: no conversion was accepted.")
    assert found.details == ["No rows came from shop."]


def test_what_is_in_doubt_now_is_a_finding_whatever_was_recorded():
    recorded = red(Cause.IN_DOUBT, "1 in doubt", Amount(rows=1), VerdictLevel.FAILED)

    live = after(ledger_run(verdict=Verdict()), in_doubt={"shop": Amount(rows=5)})
    mended = after(failed_run(TEN, recorded))

    assert [(finding.cause, finding.amount.rows) for finding in live.findings] == [(Cause.IN_DOUBT, 5)]
    assert live.level is Level.FAILED
    assert mended.findings == []


def test_money_has_the_currency_of_the_configuration():
    assert after(ledger_run(verdict=Verdict()), currency="EUR").headline.endswith("1,204 conversions (worth EUR 99,000.50).")


def test_each_cause_says_which_conversions_it_is_about():
    assert set(_QUERIES) == set(Cause)


# No contradiction can be composed

SOME = Amount(rows=7, value=Decimal(70))
FATES = [
    Prospects(in_time=in_time, night_after=night_after, lost=lost)
    for in_time, night_after, lost in product((Amount(), SOME), repeat=3)
]
NIGHTS = [
    Night(
        stage=stage,
        prospects=prospects,
        tonight=tonight,
        before=before,
        last_failed=last_failed,
        is_tonights=tonight is not None,
        troubles={"HTTP 503": SOME} if last_failed else {},
        accepted=accepted,
        empty_sources=["shop"] if not accepted.rows else [],
        next_run_at=next_run_at,
        now=NOW,
        import_at=NOW + 30 * MINUTE,
    )
    for stage, prospects, (tonight, before), last_failed, accepted, next_run_at in product(
        Stage,
        FATES,
        [(None, None), *((level, None) for level in VerdictLevel), *((None, level) for level in VerdictLevel)],
        (False, True),
        (Amount(), SOME),
        (None, TOMORROW),
    )
]


def everything(night: Night) -> str:
    words = in_words(night)
    return " ".join([words.headline, *words.details])


def test_no_night_is_said_to_lose_and_not_to_lose_the_same():
    for night in NIGHTS:
        text = everything(night)
        assert "not lost" not in text
        assert ("lost" in text) <= bool(night.prospects.lost.rows), (night, text)


def test_all_is_out_only_where_nothing_waits_and_no_run_was_red():
    for night in NIGHTS:
        if "All that could go out" in everything(night):
            assert night.prospects.total.rows == 0
            assert night.tonight is not None
            assert night.tonight.is_green
            assert night.accepted.rows
            assert in_words(night).level in (Level.GOOD, Level.NOTE)


def test_a_night_is_good_only_if_its_runs_were():
    for night in NIGHTS:
        words = in_words(night)
        if words.level in (Level.GOOD, Level.NOTE):
            assert night.tonight in (VerdictLevel.GOOD, VerdictLevel.NOTE)
            assert not night.prospects.total.rows
            assert "fail" not in everything(night)


def test_every_night_has_a_headline_and_what_is_lost_is_always_said_before_the_import():
    for night in NIGHTS:
        words = in_words(night)
        assert words.headline.endswith(".")
        if night.stage is Stage.SENDING and night.prospects.lost.rows:
            assert words.level is Level.FAILED
            assert "lost" in words.headline


# Rehearsals


REHEARSED = ledger_run(is_rehearsal=True, sent={}, verdict=Verdict(findings=[finding_of(Cause.REHEARSAL, "", "nothing left")]))


def rehearsing(data: OverviewData, dag: DagNow, now: datetime = NOW) -> tuple[Level, str]:
    found = status(data, dag, now, is_rehearsal=True)
    return found.level, " ".join([*([found.cause] if found.cause else []), found.headline, *found.details])


def test_a_rehearsal_that_went_well_is_good_though_all_of_it_is_ready():
    level, text = rehearsing(
        OverviewData(at=NOW, runs=[REHEARSED], ready=READY), DagNow(runs=[airflow_run()], next_run_at=TOMORROW)
    )

    assert level is Level.GOOD
    assert text == "Tonight's rehearsal went well: 312 conversions (worth 45,120.00) would be sent, and nothing was sent."


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_rehearsal_at_work_says_what_it_is(state: str):
    begun = replace(REHEARSED, ended_at=None, outcome=None, approved_at=None)

    _, reading = rehearsing(OverviewData(at=NOW, runs=[begun], ready=READY), DagNow(runs=[airflow_run(state)]))
    _, closing = rehearsing(
        OverviewData(at=NOW, runs=[replace(begun, approved_at=NOW)], ready=READY), DagNow(runs=[airflow_run("running")])
    )

    assert reading.startswith("The rehearsal ")
    assert closing == "The rehearsal closes its account: 312 conversions (worth 45,120.00) would be sent."


def test_a_live_run_at_work_is_live_though_the_next_one_will_be_a_rehearsal():
    _, text = rehearsing(going(forecasts={"webflow": forecast()}), DagNow(runs=[airflow_run("running")]))

    assert "are on their way" in text


def test_a_rehearsal_that_failed_says_why_and_claims_no_loss():
    run = failed_run(TEN, red(Cause.NOT_READ, "was not read to its end", Amount(), VerdictLevel.FAILED), is_rehearsal=True)

    level, text = rehearsing(
        OverviewData(at=NOW, runs=[run], ready=READY, troubles={"shop": {None: READY["shop"]}}),
        DagNow(runs=[airflow_run("failed")], next_run_at=TOMORROW),
    )

    assert level is Level.FAILED
    assert text == (
        "shop: was not read to its end. Tonight's rehearsal failed. So far 312 conversions (worth 45,120.00) would be sent."
    )


def test_who_went_live_after_the_rehearsal_reads_what_waits_for_which_run():
    data = OverviewData(at=NOW - 45 * MINUTE, runs=[REHEARSED], ready=READY)

    level, text = said(data, DagNow(runs=[airflow_run()], next_run_at=SWEEP), NOW - 45 * MINUTE)

    assert (level, text) == (Level.WAITING, "312 conversions (worth 45,120.00) wait for the run at 23:15 UTC.")


def test_before_the_first_rehearsal_it_says_when_that_starts():
    level, text = rehearsing(OverviewData(at=NOW, ready=READY), DagNow(next_run_at=TOMORROW))

    assert level is Level.WAITING
    assert text.startswith("The next rehearsal starts on 24 November at 22:00 UTC.")


def test_no_night_of_rehearsal_speaks_of_a_missed_import_or_a_loss_or_of_anything_sent():
    for night, was_rehearsed in product(NIGHTS, (False, True)):
        if night.stage is Stage.NO_DAG:
            continue
        rehearsal = replace(night, is_rehearsal=True, was_rehearsed=was_rehearsed)
        text = everything(rehearsal)
        assert not re.search(r"\bmiss|\blost\b|\bout\b|on their way|accepted", text), text
        assert in_words(rehearsal).headline.endswith(".")


def test_a_night_of_rehearsal_is_red_only_for_what_went_wrong_not_for_what_waits():
    for night in NIGHTS:
        if night.stage in (Stage.NO_DAG, Stage.OVERDUE):
            continue
        words = in_words(replace(night, is_rehearsal=True, was_rehearsed=True))
        if words.level is Level.FAILED:
            assert night.tonight is VerdictLevel.FAILED


@pytest.mark.parametrize(
    ("asked", "was_rehearsal", "says"),
    [
        (True, None, "Rehearsal: nothing is sent to Webflow."),
        (True, True, "Rehearsal: nothing is sent to Webflow."),
        (None, True, "Rehearsal: nothing is sent to Webflow."),
        (True, False, "Rehearsal: from the next run on, nothing is sent to Webflow."),
        (False, True, "The last run was a rehearsal: it sent nothing."),
        (False, False, None),
        (False, None, None),
        (None, False, None),
        (None, None, None),
    ],
)
def test_the_band_says_what_holds_for_the_next_run(asked: bool | None, was_rehearsal: bool | None, says: str | None):
    found = band_of(asked, was_rehearsal)

    assert (found.headline if found else None) == says
