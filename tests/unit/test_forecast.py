"""The forecast says when the queue is empty, what comes too late, and until when its word counts."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from webflow_conversions.delivery import progress
from webflow_conversions.delivery.forecast import Forecast, Waiting, forecasts_of
from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.progress import DrainRate, ProgressReporter
from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.rules.amounts import Amount

NINE = datetime(2026, 3, 14, 21, 0, tzinfo=UTC)


def forecast(rows: int, rows_per_second: float, late: int = 0, expiring: int = 0) -> Forecast:
    waiting = Waiting(
        total=Amount(rows=rows, value=Decimal("10.50")),
        late=Amount(rows=late, value=Decimal(late)),
        expiring=Amount(rows=expiring, value=Decimal(expiring)),
    )
    return Forecast(at=NINE, stands_until=NINE + timedelta(seconds=75), rows_per_second=rows_per_second, waiting=waiting)


def test_the_end_of_what_waits_is_told_at_the_present_rate() -> None:
    assert forecast(36_000, 10).done_at == NINE + timedelta(hours=1)
    assert forecast(0, 0).done_at == NINE


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-300])
def test_a_queue_that_does_not_shrink_has_no_end(rate: float) -> None:
    assert forecast(36_000, rate).done_at is None
    assert "never at this rate" in str(forecast(36_000, rate))


def test_the_forecast_names_what_misses_the_import_and_what_grows_too_old_with_its_money() -> None:
    assert str(forecast(36_000, 10, late=7, expiring=3)) == (
        "36000 conversions (10.50) wait; 10 a second; done 22:00:00 UTC; 7 (7) miss the import at 00:00 UTC; "
        "3 (3) grow older than 2 days before their turn"
    )
    assert str(forecast(36_000, 10)) == "36000 conversions (10.50) wait; 10 a second; done 22:00:00 UTC"


def test_the_forecast_for_the_record_has_the_import_and_exact_money() -> None:
    document = forecast(36_000, 10.04, late=7).to_json()

    assert document["import_at"] == "2026-03-15T00:00:00+00:00"
    assert (document["waiting_rows"], document["waiting_value"], document["late_rows"], document["late_value"]) == (
        36_000,
        "10.50",
        7,
        "7",
    )
    done_at = forecast(36_000, 10.04).done_at
    assert done_at is not None
    assert (document["rows_per_second"], document["done_at"]) == (10.04, done_at.isoformat())
    assert forecast(1, 0).to_json()["done_at"] is None


@pytest.mark.parametrize("written", [forecast(36_000, 10.04, late=7, expiring=3), forecast(36_000, 1 / 3), forecast(0, 0.0)])
def test_a_forecast_is_read_as_it_was_written(written: Forecast) -> None:
    read = forecasts_of(json.loads(json.dumps({"webflow_default": written.to_json()})))

    assert read == {"webflow_default": written}
    assert read["webflow_default"].done_at == written.done_at


def test_a_run_without_forecasts_has_none() -> None:
    assert forecasts_of(None) == {}


def test_a_forecast_stands_up_to_the_moment_that_it_names() -> None:
    written = forecast(36_000, 10)

    assert written.stands(written.stands_until)
    assert not written.stands(written.stands_until + timedelta(microseconds=1))


def test_a_rate_needs_two_counts_and_a_queue_that_grows_has_none() -> None:
    rate = DrainRate(least_seconds=3.0)
    rate.measure(10.0, 1_000)
    assert rate.value is None
    rate.measure(20.0, 400)
    assert rate.value == 60.0
    rate.measure(22.9, 400)  # too soon to tell
    assert rate.value == 60.0
    rate.measure(30.0, 900)
    assert rate.value == 0.0


# The reporter


class SteppedClock(Clock):
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NINE + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class CountedQueue:
    """A queue of which a count takes ``count_seconds``; remembers each forecast, and when it was recorded."""

    def __init__(self, clock: SteppedClock, count_seconds: float) -> None:
        self.recorded: list[tuple[datetime, Forecast]] = []
        self.fails = False
        self.count_seconds = count_seconds
        self._clock = clock

    def waiting(self, now: datetime, rows_per_second: float, seconds_to_import: float) -> Waiting:
        self._clock.seconds += self.count_seconds
        if self.fails:
            self.fails = False
            raise RuntimeError("could not read block")
        rows = max(100_000 - round(self._clock.seconds), 0)
        return Waiting(total=Amount(rows=rows, value=Decimal(rows)), late=Amount(), expiring=Amount())

    def record(self, forecast: Forecast) -> None:
        self.recorded.append((self._clock.now(), forecast))

    def close(self) -> None:
        pass


class ThreadInStep(LedgerThread):
    """Each job has ended when ``ask`` returns."""

    def ask(self, kind: str, job: Callable[[], Any], then: Callable[[Any], None]) -> None:
        super().ask(kind, job, then)
        self.wait(60)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    monkeypatch.setattr(progress, "LedgerThread", ThreadInStep)
    return SteppedClock()


def until_recorded(reporter: ProgressReporter, queue: CountedQueue, clock: SteppedClock, forecasts: int) -> None:
    """A push that asks once a second."""
    while len(queue.recorded) < forecasts:
        assert clock.seconds < 86_400
        clock.seconds += 1
        reporter.report_if_due()


@pytest.mark.parametrize("count_seconds", [0.01, 1.0, 10.0, 150.0])
def test_a_forecast_stands_until_the_next_one_however_long_a_count_takes(clock: SteppedClock, count_seconds: float) -> None:
    queue = CountedQueue(clock, count_seconds)
    reporter = ProgressReporter(queue, clock, 15.0)

    until_recorded(reporter, queue, clock, 4)
    reporter.close(in_haste=True)

    for (_, before), (replaced_at, _) in zip(queue.recorded, queue.recorded[1:], strict=False):
        assert before.stands(replaced_at)


def test_a_count_that_takes_150_seconds_is_followed_by_a_pause_of_20_times_that(clock: SteppedClock) -> None:
    queue = CountedQueue(clock, 150.0)
    reporter = ProgressReporter(queue, clock, 15.0)

    until_recorded(reporter, queue, clock, 2)
    reporter.close(in_haste=True)

    (first_at, first), (second_at, _) = queue.recorded
    assert second_at - first_at >= timedelta(seconds=3_000 + 150)
    assert first.at == first_at - timedelta(seconds=151)


def test_a_forecast_survives_one_count_that_fails(clock: SteppedClock) -> None:
    queue = CountedQueue(clock, 0.5)
    reporter = ProgressReporter(queue, clock, 15.0)

    until_recorded(reporter, queue, clock, 1)
    queue.fails = True
    until_recorded(reporter, queue, clock, 2)
    reporter.close(in_haste=True)

    (_, first), (second_at, _) = queue.recorded
    assert not queue.fails
    assert first.stands(second_at)


@pytest.mark.parametrize(("count_seconds", "most_seconds"), [(0.01, 90), (10.0, 290)])
def test_the_forecast_of_a_push_that_died_is_soon_stale(clock: SteppedClock, count_seconds: float, most_seconds: float) -> None:
    queue = CountedQueue(clock, count_seconds)
    reporter = ProgressReporter(queue, clock, 15.0)

    until_recorded(reporter, queue, clock, 1)
    reporter.close(in_haste=True)

    ((recorded_at, last),) = queue.recorded
    assert last.stands(recorded_at + timedelta(seconds=15))
    assert not last.stands(recorded_at + timedelta(seconds=most_seconds))


def test_a_push_that_ends_in_good_order_brings_its_forecast_up_to_date(clock: SteppedClock) -> None:
    queue = CountedQueue(clock, 0.5)
    reporter = ProgressReporter(queue, clock, 15.0)
    until_recorded(reporter, queue, clock, 1)
    clock.seconds = 200_000.0

    reporter.close(in_haste=False)

    _, last = queue.recorded[-1]
    assert last.waiting.total == Amount()
    assert last == replace(last, at=NINE + timedelta(seconds=200_000), stands_until=NINE + timedelta(seconds=200_076))
