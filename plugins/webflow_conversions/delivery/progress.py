"""Looks ahead while a push runs: into the log and into the run's record."""

import logging
from contextlib import suppress
from datetime import datetime

from webflow_conversions.delivery.forecast import Forecast, Rate
from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.protocols import Clock, Forecasts, Waiting
from webflow_conversions.errors import Unavailable
from webflow_conversions.rules.window import next_import

log = logging.getLogger(__name__)

FIRST_LOOKS_SECONDS = 3.0
"""The first two looks only tell the rate."""
FORECAST_SECONDS = 15.0
WORTH = 20
"""A look that took some time is followed by a pause of so many times that."""


class Progress:
    """Counts what waits, now and then, and says how it will fare at the rate at which it shrinks.

    It has a connection and a thread of its own: counting a long queue takes seconds, and the push must not wait for it.
    """

    def __init__(self, forecasts: Forecasts, clock: Clock) -> None:
        self._forecasts = forecasts
        self._clock = clock
        self._jobs = LedgerThread("progress")
        self._rate = Rate(FIRST_LOOKS_SECONDS)
        self._look_at = clock.monotonic() + FIRST_LOOKS_SECONDS
        self._has_spoken = False

    def look(self) -> None:
        """Look if it is time to; does not wait."""
        try:
            self._jobs.collect()
        except Exception:
            log.exception("The forecast is unknown, since what waits could not be counted; the push goes on.")
            self._look_at = self._clock.monotonic() + FORECAST_SECONDS
        if self._clock.monotonic() < self._look_at or not self._jobs.is_idle:
            return
        started_at, moment, rate = self._clock.monotonic(), self._clock.now(), self._rate.value
        seconds = _seconds_to_import(moment)

        def count() -> tuple[Waiting, float]:
            return self._forecasts.waiting(moment, rate or 0.0, seconds), self._clock.monotonic() - started_at

        self._jobs.ask("count", count, lambda found: self._counted(moment, started_at, rate, *found))

    def close(self, *, in_haste: bool) -> None:
        """Look no more.

        :param in_haste: wait for nothing; otherwise an forecast that was recorded is brought up to date.
        """
        self._jobs.close(wait=not in_haste)
        if self._has_spoken and not in_haste:
            moment, rate = self._clock.now(), self._rate.value or 0.0
            with suppress(Unavailable):
                waiting = self._forecasts.waiting(moment, rate, _seconds_to_import(moment))
                self._forecasts.record(Forecast(at=moment, rows_per_second=rate, waiting=waiting).to_json())

    def _counted(self, moment: datetime, started_at: float, rate: float | None, waiting: Waiting, took_seconds: float) -> None:
        self._rate.look(started_at, waiting.rows)
        if rate is None:
            pause = FIRST_LOOKS_SECONDS if self._rate.value is None else 0.0
        else:
            pause = FORECAST_SECONDS
            forecast = Forecast(at=moment, rows_per_second=rate, waiting=waiting)
            log.log(logging.WARNING if waiting.late_rows or waiting.expiring_rows else logging.INFO, "%s", forecast)
            self._has_spoken = True
            self._jobs.ask("record", lambda: self._forecasts.record(forecast.to_json()), lambda _: None)
        self._look_at = self._clock.monotonic() + max(pause, WORTH * took_seconds if pause else 0.0)


def _seconds_to_import(moment: datetime) -> float:
    return (next_import(moment) - moment).total_seconds()
