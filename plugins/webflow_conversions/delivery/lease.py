"""The lease of a push: until when the ledger takes it for running."""

from collections.abc import Callable
from typing import Any

from webflow_conversions.delivery.ending import Ending
from webflow_conversions.delivery.ledger_thread import POLL_SECONDS, LedgerThread
from webflow_conversions.delivery.protocols import Clock, PushLedger
from webflow_conversions.errors import Stopped, Unavailable

RENEW_SECONDS = 0.5
"""Seconds between lease renewals. Each renewal also picks up a pause that another push recorded (``Retry-After``)."""


class Lease:
    """Begins and renews a push in the ledger.

    :param paused: called with the seconds for which the destination pauses, when a renewal reports a pause.
    """

    def __init__(
        self,
        ledger: PushLedger,
        jobs: LedgerThread,
        clock: Clock,
        ending: Ending,
        *,
        seconds: float,
        paused: Callable[[float], None],
    ) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock
        self._ending = ending
        self._seconds = seconds
        self._paused = paused
        self._until = self._renew_at = clock.monotonic()

    def covers(self, moment: float) -> bool:
        """Whether the lease lasts until this moment."""
        return moment <= self._until

    @property
    def is_over(self) -> bool:
        """Whether the lease has ended."""
        return self._clock.monotonic() >= self._until

    def begin(self) -> bool:
        """Register the push; waits until it is done. Whether answers that were not the API's ended the push before it.

        :raises Stopped: if the ledger does not let this push begin, or the push was stopped meanwhile.
        :raises Unavailable: if the ledger is away for longer than the lease.
        """
        give_up_at = self._clock.monotonic() + self._seconds

        was_misled = False

        def job() -> tuple[float, bool]:
            began = self._clock.monotonic()
            return began + self._seconds, self._ledger.begin(self._seconds)

        def begun(found: tuple[float, bool]) -> None:
            nonlocal was_misled
            self._until, was_misled = found

        self._jobs.ask("begin", job, begun)
        while self._jobs.is_busy("begin"):
            self._jobs.wait(POLL_SECONDS)
            self._jobs.collect()
            if self._jobs.is_busy("begin") and (self._ending.error or self._clock.monotonic() >= give_up_at):
                raise self._ending.error or self._jobs.away or Unavailable("The ledger did not answer in time.")
        return was_misled

    def renew(self, counts: Callable[[], dict[str, Any]]) -> None:
        """Renew the lease if it is time to; does not wait."""
        now = self._clock.monotonic()
        if now >= self._until:
            self._ending.because(self._jobs.away or Unavailable("The lease of this push ended before the ledger renewed it."))
        elif now >= self._renew_at and not self._jobs.is_busy("renew"):
            self._renew_at, until, known = now + RENEW_SECONDS, now + self._seconds, counts()
            self._jobs.ask("renew", lambda: self._ledger.renew(self._seconds, known), lambda pause: self._renewed(until, pause))

    def _renewed(self, until: float, pause_seconds: float | None) -> None:
        if pause_seconds is None:
            self._ending.because(Stopped("Another try of this task has taken over; this one sends nothing more."))
            return
        self._until = until
        if pause_seconds > 0:
            self._paused(pause_seconds)
