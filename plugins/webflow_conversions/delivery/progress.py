"""Measures the progress of a push, and reports its forecast in the log and in the run's record."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.protocols import Clock, Forecasts
from webflow_conversions.errors import Unavailable, described
from webflow_conversions.rules.window import next_import

log = logging.getLogger(__name__)

FIRST_COUNTS_SECONDS = 3.0
"""Seconds before each of the first two counts, which only measure the rate."""
PAUSE_PER_COUNT = 20
"""The pause after a count is at least 20 times as long as the count: counting takes at most 5 % of the database's time."""
GRACE_SECONDS = 60.0
"""Seconds that a forecast stands beyond its expected successor: a count may fail once or take longer, and clocks differ."""


class DrainRate:
    """The rate at which a queue shrinks, measured between two counts.

    ``value`` is in rows a second; None before the second count.

    :param least_seconds: a count that follows sooner is ignored: pushes claim up to a thousand rows at a time.
    """

    def __init__(self, least_seconds: float) -> None:
        self.value: float | None = None
        self._least_seconds = least_seconds
        self._last: tuple[float, int] | None = None

    def measure(self, monotonic: float, rows: int) -> None:
        """Take a count of ``rows`` at ``monotonic`` seconds into the rate."""
        if self._last is not None:
            seconds = monotonic - self._last[0]
            if seconds < self._least_seconds:
                return
            self.value = max((self._last[1] - rows) / seconds, 0.0)
        self._last = (monotonic, rows)


class _Count(NamedTuple):
    """A count of the queue that began at ``at`` (the wall clock), and at ``monotonic``, and took ``seconds``."""

    at: datetime
    monotonic: float
    seconds: float
    waiting: Waiting


class ProgressReporter:
    """Counts the waiting conversions at intervals, and reports the forecast at the rate at which they become fewer.

    It has a connection and a thread of its own: counting a long queue takes seconds, and the push must not wait for it.

    :param seconds_apart: seconds between two forecasts; more if a count takes long.
    """

    def __init__(self, forecasts: Forecasts, clock: Clock, seconds_apart: float) -> None:
        self._forecasts = forecasts
        self._clock = clock
        self._seconds_apart = seconds_apart
        self._first_seconds = min(FIRST_COUNTS_SECONDS, seconds_apart)
        self._jobs = LedgerThread("progress")
        self._rate = DrainRate(self._first_seconds)
        self._count_at = clock.monotonic() + self._first_seconds
        self._has_reported = False

    def report_if_due(self) -> None:
        """Start a count if it is due, and report one that has ended; does not wait."""
        try:
            self._jobs.collect()
        except Exception as error:  # noqa: BLE001
            log.error("The forecast is unknown, since what waits could not be counted; the push goes on: %s", described(error))
            self._count_at = self._clock.monotonic() + self._seconds_apart
        if self._clock.monotonic() < self._count_at or not self._jobs.is_idle:
            return
        rate = self._rate.value
        self._jobs.ask("count", lambda: self._count(rate), lambda count: self._counted(rate, count))

    def close(self, *, in_haste: bool) -> None:
        """Stop counting.

        :param in_haste: wait for nothing, so that a count may go on; otherwise the last forecast is replaced by one of this
            moment, and the connection is given back.
        """
        self._jobs.close(wait=not in_haste)
        if self._has_reported and not in_haste:
            rate = self._rate.value or 0.0
            with suppress(Unavailable):
                self._forecasts.record(self._forecast(rate, self._count(rate)))
        if not in_haste:
            self._forecasts.close()

    def _count(self, rate: float | None) -> _Count:
        at, monotonic = self._clock.now(), self._clock.monotonic()
        waiting = self._forecasts.waiting(at, rate or 0.0, (next_import(at) - at).total_seconds())
        return _Count(at, monotonic, self._clock.monotonic() - monotonic, waiting)

    def _counted(self, rate: float | None, count: _Count) -> None:
        self._rate.measure(count.monotonic, count.waiting.total.rows)
        if rate is not None:
            pause = self._pause_seconds(count)
            forecast = self._forecast(rate, count)
            is_bad = count.waiting.late.rows or count.waiting.expiring.rows
            log.log(logging.WARNING if is_bad else logging.INFO, "%s", forecast)
            self._has_reported = True
            self._jobs.ask("record", lambda: self._forecasts.record(forecast), lambda _: None)
        elif self._rate.value is None:
            pause = max(self._first_seconds, PAUSE_PER_COUNT * count.seconds)
        else:
            pause = 0.0
        self._count_at = self._clock.monotonic() + pause

    def _pause_seconds(self, count: _Count) -> float:
        return max(self._seconds_apart, PAUSE_PER_COUNT * count.seconds)

    def _forecast(self, rate: float, count: _Count) -> Forecast:
        """The forecast of a count; its successor is expected after the pause and another count of the same length."""
        stands_seconds = self._pause_seconds(count) + count.seconds + GRACE_SECONDS
        return Forecast(
            at=count.at,
            stands_until=self._clock.now() + timedelta(seconds=stands_seconds),
            rows_per_second=rate,
            waiting=count.waiting,
        )
