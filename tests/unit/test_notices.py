"""What people are told: how much will miss the import and why; nothing where nothing is at stake."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.pipeline.notices import RunRecord, Stake, deadline_notice, failure_notice, recovery_notice
from webflow_conversions.rules.amounts import Amount

NOW = datetime(2026, 3, 14, 23, 40, tzinfo=UTC)
READY = {None: Amount(rows=1200, value=Decimal("5000.50")), "HTTP 503": Amount(rows=34, value=Decimal(10))}


def record(**fields):
    return RunRecord(**{"is_ended": False, "problems": [], "unread_sources": [], **fields})


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
    assert deadline_notice(Stake(run=record(is_ended=True, problems=["x"])), NOW) is None


def test_a_run_that_never_began_and_a_source_that_was_not_read_are_told_without_a_number():
    never = deadline_notice(Stake(run=None), NOW)
    unread = deadline_notice(Stake(run=record(unread_sources=["shop", "crm"])), NOW)

    assert never.subject == unread.subject == "Webflow: An unknown number of conversions will miss tonight's import"
    assert "did not come past its plan task" in never.message
    assert "Not read so far: shop, crm." in unread.message


def test_the_problems_of_an_ended_run_are_the_reason():
    stake = Stake(
        run=record(is_ended=True, problems=["shop: 3 ready, not sent"]), ready=READY, in_doubt=Amount(rows=1, value=Decimal(5))
    )
    message = deadline_notice(stake, NOW).message

    assert "shop: 3 ready, not sent." in message
    assert "In doubt, since the answer was lost: 1 conversion (5.00)." in message


@pytest.mark.parametrize(("is_ended", "sentence"), [(False, "The run is still going."), (True, "The last run has ended.")])
def test_without_another_reason_it_says_whether_a_run_is_going(is_ended, sentence):
    assert sentence in deadline_notice(Stake(run=record(is_ended=is_ended), ready={None: Amount(rows=1)}), NOW).message


def test_a_failure_names_its_problems_or_the_tasks_that_failed():
    assert failure_notice("run", ["shop: was not read to its end"], ["extract"]).message.startswith(
        "shop: was not read to its end. "
    )
    assert failure_notice("run", [], ["plan"]).message.startswith("plan failed: the last line of its log says why. ")


def test_a_recovery_says_since_when_it_was_broken():
    assert (
        recovery_notice("scheduled__b", "scheduled__a").message
        == "scheduled__b sent all that was due. Failed since: scheduled__a."
    )
