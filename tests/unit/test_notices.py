"""What people are told: how much will miss the import and why, what failed and what to do; nothing where nothing is at stake."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.pipeline.causes import CAUSES, Cause
from webflow_conversions.pipeline.failures import Failure
from webflow_conversions.pipeline.notices import (
    NoticeKind,
    RunRecord,
    Stake,
    concerning,
    deadline_notice,
    recovery_notice,
    run_notice,
)
from webflow_conversions.pipeline.verdict import Finding, causes
from webflow_conversions.rules.amounts import Amount

NOW = datetime(2026, 3, 14, 23, 40, tzinfo=UTC)
READY = {None: Amount(rows=1200, value=Decimal("5000.50")), "HTTP 503": Amount(rows=34, value=Decimal(10))}


def record(**fields):
    return RunRecord(**{"run_id": "run", "is_ended": False, "causes": [], "unread_sources": [], **fields})


def found(cause, sentence, source="shop", rows=0, value="0"):
    level = CAUSES[cause].level
    return Finding(cause=cause, level=level, source=source, sentence=sentence, amount=Amount(rows=rows, value=Decimal(value)))


def failed(task, sentence, **fields):
    given = {"task": task, "error": "Unusable", "sentence": sentence, "at": NOW, "try_number": 1, "is_last_try": True}
    return Failure(**{**given, **fields})


NOT_SENT = found(Cause.NOT_SENT, "shop: 3 ready, not sent", rows=3, value="30.00")
REFUSED = found(Cause.REFUSED, "crm: Webflow refused 2 conversions (5.00): HTTP 422", "crm", rows=2, value="5.00")


def forecast(late_rows, *, age=timedelta(seconds=20)):
    """A forecast that its push was to replace within a minute."""
    waiting = Waiting(
        total=Amount(rows=2000, value=Decimal("9000.00")),
        late=Amount(rows=late_rows, value=Decimal("12.34")),
        expiring=Amount(),
    )
    at = NOW - age
    return {"webflow_default": Forecast(at=at, stands_until=at + timedelta(minutes=1), rows_per_second=1.0, waiting=waiting)}


def test_all_that_is_ready_misses_the_import_where_nothing_moves():
    notice = deadline_notice(Stake(run=record(), ready=READY), NOW)

    assert notice.subject == "Webflow: 1,234 conversions (5,010.50) will miss tonight's import"
    assert "At 23:40 UTC, 1,234 conversions (5,010.50) will miss Webflow's import at 00:00 UTC." in notice.message
    assert "Last trouble: HTTP 503 (34 conversions (10.00))." in notice.message


def test_a_fresh_forecast_says_what_comes_too_late():
    assert "7 conversions (12.34)" in deadline_notice(Stake(run=record(forecasts=forecast(7)), ready=READY), NOW).subject
    assert deadline_notice(Stake(run=record(forecasts=forecast(0)), ready=READY), NOW) is None


def test_the_forecasts_of_all_destinations_count():
    nothing = Waiting(total=Amount(), late=Amount(), expiring=Amount())
    finished = replace(forecast(0, age=timedelta(hours=1))["webflow_default"], waiting=nothing)
    both = {"another": forecast(5)["webflow_default"], "finished": finished, **forecast(7)}
    assert "12 conversions (24.68)" in deadline_notice(Stake(run=record(forecasts=both), ready=READY), NOW).subject


@pytest.mark.parametrize(
    "run", [record(forecasts=forecast(0, age=timedelta(minutes=3))), record(is_ended=True, forecasts=forecast(0))]
)
def test_the_forecast_of_a_push_that_is_gone_counts_for_nothing(run):
    assert "1,234 conversions" in deadline_notice(Stake(run=run, ready=READY), NOW).subject


def test_nothing_at_stake_is_no_notice():
    assert deadline_notice(Stake(run=record()), NOW) is None
    assert deadline_notice(Stake(run=record(is_ended=True, causes=[NOT_SENT])), NOW) is None


def test_a_run_that_never_began_and_a_source_that_was_not_read_are_told_without_a_number():
    never = deadline_notice(Stake(run=None), NOW)
    unread = deadline_notice(Stake(run=record(unread_sources=["shop", "crm"])), NOW)

    assert never.subject == unread.subject == "Webflow: An unknown number of conversions will miss tonight's import"
    assert never.message.startswith("No run of tonight has come past its plan task, and none has said why.")
    assert "Not read so far: shop, crm." in unread.message


def test_the_problems_of_an_ended_run_are_the_reason():
    stake = Stake(run=record(is_ended=True, causes=[NOT_SENT]), ready=READY, in_doubt=Amount(rows=1, value=Decimal(5)))
    message = deadline_notice(stake, NOW).message

    assert message.startswith("Shop: 3 ready, not sent. ")
    assert message.endswith(NOT_SENT.remedy)
    assert "Last trouble" not in message
    assert "In doubt, since the answer was lost or leaves it open: 1 conversion (5.00)." in message


@pytest.mark.parametrize(("is_ended", "sentence"), [(False, "The run is still going."), (True, "The last run has ended.")])
def test_without_another_reason_it_says_whether_a_run_is_going(is_ended, sentence):
    assert sentence in deadline_notice(Stake(run=record(is_ended=is_ended), ready={None: Amount(rows=1)}), NOW).message


def test_a_run_that_plan_refused_is_the_reason_in_plans_own_words():
    refused = causes(None, [failed("plan", "The configuration is wrong at sources[1].sql: this key is missing.")])

    notice = deadline_notice(Stake(run=None, refused=refused), NOW)

    assert notice.message.startswith("Plan: The configuration is wrong at sources[1].sql: this key is missing. At 23:40 UTC")
    assert notice.message.endswith("Do what the sentence says, then clear the task.")


def test_a_failed_run_says_its_causes_first_then_rows_and_money_then_what_to_do():
    notice = run_notice("run", [found(Cause.TASK_FAILED, "push to webflow_default: HTTP 503", ""), NOT_SENT])

    assert (notice.kind, notice.kind.severity, notice.subject) == (NoticeKind.FAILED, "error", "Webflow: run failed")
    assert notice.message == (
        "Push to webflow_default: HTTP 503. Shop: 3 ready, not sent. It is about 3 conversions (30.00). "
        f"Do what the sentence says, then clear the task. {NOT_SENT.remedy}"
    )


def test_a_run_that_needs_somebody_is_another_kind_of_notice_and_a_green_one_is_none():
    notice = run_notice("run", [REFUSED])

    assert (notice.kind, notice.kind.severity, notice.subject) == (NoticeKind.ATTENTION, "warning", "Webflow: run needs somebody")
    assert run_notice("run", [found(Cause.REJECTED, "shop: 1 of 2 cannot be sent")]) is None


def test_who_asks_for_some_sources_is_told_of_these_and_of_the_run_as_a_whole():
    whole = found(Cause.TASK_FAILED, "plan: no", "")

    assert concerning([whole, NOT_SENT, REFUSED], ["crm"]) == [whole, REFUSED]
    assert run_notice("run", concerning([NOT_SENT, REFUSED], ["crm"])).kind is NoticeKind.ATTENTION
    assert run_notice("run", concerning([NOT_SENT], ["crm"])) is None


def test_a_recovery_says_since_when_it_was_broken():
    notice = recovery_notice("scheduled__b", "scheduled__a")

    assert (notice.kind, notice.kind.severity) == (NoticeKind.RECOVERED, "info")
    assert notice.message == "scheduled__b sent all that was due. Not well since: scheduled__a."


def test_no_notice_promises_what_the_next_run_does():
    notices = [run_notice("run", [found(cause, "x", rows=1) for cause in Cause]), deadline_notice(Stake(run=None), NOW)]

    assert all("goes out with the next run" not in notice.message for notice in notices)
