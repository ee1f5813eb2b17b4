"""The queue of claimed rows, and asking the ledger for more."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count

from webflow_conversions.delivery.circuit_breaker import CircuitBreaker, Stage
from webflow_conversions.delivery.ending import Ending
from webflow_conversions.delivery.in_flight import InFlight
from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.protocols import Claimed, Clock, Elsewhere, PushLedger, Settlement
from webflow_conversions.delivery.settings import PushCounts, PushSettings
from webflow_conversions.delivery.settling import Settling
from webflow_conversions.errors import Unavailable
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.window import Interval

LARGEST_CLAIM = 1_000
"""Rows."""
CLAIM_SECONDS = 0.25
"""A claim is as many rows as leave in this time, or in two rounds of requests: few rows are in doubt after a crash."""
PROBE_ROWS = 10
"""Probe size: after a streak of refusals, this many rows of each source are sent as a test."""
RECOVER_SECONDS = 2.0
"""Seconds between two looks for rows of dead pushes: they may expire before all others."""
LOOK_AGAIN_SECONDS = 2.0
"""While rows wait for their next attempt, seconds between two looks for rows that another push gave back."""
IDLE_SECONDS = 0.1
"""Seconds of a sleep while there is nothing to do, at most; and between two claims that find nothing."""
MEASURE_SECONDS = 0.5
"""Seconds over which the rate of answers is measured."""


class Claims:
    """Claims rows ahead of the requests, and knows when nothing is left.

    ``is_empty``: no row of this run is left that may be sent. ``claim_at``: when to ask the ledger again.
    """

    def __init__(
        self,
        ledger: PushLedger,
        jobs: LedgerThread,
        clock: Clock,
        ending: Ending,
        breaker: CircuitBreaker,
        in_flight: InFlight,
        settling: Settling,
        settings: PushSettings,
        counts: PushCounts,
    ) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock
        self._ending = ending
        self._breaker = breaker
        self._in_flight = in_flight
        self._settling = settling
        self._settings = settings
        self._counts = counts
        self.queue: deque[Claimed] = deque()
        self.is_empty = False
        now = clock.monotonic()
        self.claim_at = self._recover_at = now
        self._answered, self._measured_at, self._rows_per_second = 0, now, 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is claimed that has no recorded outcome."""
        return not (self.queue or self._in_flight) and self._settling.is_idle

    def answered(self, now: float) -> None:
        """A row was answered: the size of the next claim follows the rate of answers."""
        self._answered += 1
        if now - self._measured_at >= MEASURE_SECONDS:
            self._rows_per_second = self._answered / (now - self._measured_at)
            self._answered, self._measured_at = 0, now

    def rows(self, concurrency: int) -> int:
        """The size of a claim."""
        rows = max(self._rows_per_second * CLAIM_SECONDS, 2 * concurrency)
        if self._settings.requests_per_second is not None:
            rows = min(rows, self._settings.requests_per_second * CLAIM_SECONDS)
        return int(min(max(rows, 1), LARGEST_CLAIM))

    def claim(self, rows: int, rest_until: float) -> None:
        """Ask for rows where the queue runs low, or for probe rows where the breaker is open; does not wait."""
        now = self._clock.monotonic()
        if self.is_empty or self._jobs.is_busy("claim"):
            return
        match self._breaker.stage:
            case Stage.CLOSED:
                if len(self.queue) < rows and now >= max(self.claim_at, rest_until - CLAIM_SECONDS):
                    self._ask(self._ledger.claim, rows, self._claimed)
            case Stage.OPEN:
                if self._is_at_rest(now):
                    self._ask(self._ledger.claim_probes, PROBE_ROWS, self._claimed_probes)
            case Stage.UNDECIDED:
                if self._is_at_rest(now):
                    moment = self._clock.now()
                    self._jobs.ask("claim", lambda: self._ledger.elsewhere(moment), self._judge)
            case Stage.HALF_OPEN:
                pass

    def give_back(self) -> None:
        """Return the rows that were claimed and never left."""
        self._settling.add([Settlement(id=conversion.id, state=State.READY) for conversion in self.queue])
        self.queue.clear()
        self._breaker.call_off()

    def recover(self) -> None:
        """Look for rows of dead pushes if it is time to; does not wait."""
        now = self._clock.monotonic()
        if now >= self._recover_at and not self._jobs.is_busy("recover"):
            self._recover_at, moment = now + RECOVER_SECONDS, self._clock.now()
            self._jobs.ask("recover", lambda: self._ledger.recover(moment), self._recovered)

    def _is_at_rest(self, now: float) -> bool:
        """Give everything back; whether no request is out, and every outcome is recorded."""
        self.give_back()
        return self.is_idle and now >= self.claim_at

    def _ask(
        self, claim: Callable[[int, datetime], Sequence[Claimed]], rows: int, then: Callable[[Sequence[Claimed]], None]
    ) -> None:
        """A claim that is repeated first gives back the rows of one whose commit was not confirmed."""
        moment, known, tries = self._clock.now(), self._known, count()

        def job() -> Sequence[Claimed]:
            if next(tries):
                self._ledger.release(known)
            return claim(rows, moment)

        self._jobs.ask("claim", job, then)

    @property
    def _known(self) -> list[int]:
        """The rows that the ledger has as claimed by this push, and the push knows of."""
        return [*(conversion.id for conversion in self.queue), *self._in_flight.rows, *self._settling.rows, *self._breaker.kept]

    def _claimed(self, conversions: Sequence[Claimed]) -> None:
        self._counts.claimed += len(conversions)
        self.queue.extend(conversions)
        if conversions:
            return
        self.claim_at = self._clock.monotonic() + IDLE_SECONDS
        if self.is_idle and self._breaker.stage is Stage.CLOSED:
            moment, known = self._clock.now(), self._breaker.kept
            self._jobs.ask("claim", lambda: self._look_for_more(moment, known), self._looked_for_more)

    def _look_for_more(self, now: datetime, known: list[int]) -> tuple[int, float | None]:
        released = self._ledger.release(known)
        recovered = self._ledger.recover(now)
        return recovered, 0.0 if released else self._ledger.seconds_to_retry(now)

    def _looked_for_more(self, found: tuple[int, float | None]) -> None:
        recovered, seconds = found
        self._recovered(recovered)
        if seconds is None:
            self.is_empty = True
            self._settling.add(self._breaker.end(is_empty=True))
        else:
            self._look_again(seconds)

    def _claimed_probes(self, conversions: Sequence[Claimed]) -> None:
        self._counts.claimed += len(conversions)
        self.queue.extend(conversions)
        if conversions:
            self._breaker.probe(conversion.id for conversion in conversions)
        else:
            moment = self._clock.now()
            self._jobs.ask("claim", lambda: self._ledger.seconds_to_retry(moment), self._looked_for_probes)

    def _looked_for_probes(self, seconds: float | None) -> None:
        if seconds is None:
            self._breaker.probe(())
        else:
            self._look_again(seconds)

    def _judge(self, elsewhere: Elsewhere) -> None:
        """Decide between the rows and the address, with the help of other pushes."""
        if elsewhere.accepted:
            self._settling.add(self._breaker.accepted_elsewhere())
            if self._breaker.stage is Stage.CLOSED:
                return
        if elsewhere.has_later:
            self._ending.because(
                Unavailable(
                    "Everything that this push sent was refused, and another push has what is left: it will show whether the "
                    "rows are wrong. What was refused stays ready."
                )
            )
        elif elsewhere.has_earlier:
            self._breaker.trip()
            self._look_again(None)
        else:
            self._ending.because(self._breaker.decide())

    def _look_again(self, seconds: float | None) -> None:
        """Ask again when a row is due, but neither at once nor much later: another push may have given some back."""
        wait = LOOK_AGAIN_SECONDS if seconds is None else min(max(seconds, IDLE_SECONDS), LOOK_AGAIN_SECONDS)
        self.claim_at = self._clock.monotonic() + wait

    def _recovered(self, conversions: int) -> None:
        self._counts.recovered += conversions
        self._recover_at = self._clock.monotonic() + RECOVER_SECONDS


def unfit(conversion: Claimed, may_be_sent: Interval) -> Settlement | None:
    """The outcome of a row that cannot count now; None if it can.

    :param may_be_sent: the result of :func:`~webflow_conversions.rules.window.sendable` for now.
    """
    if conversion.event.action_timestamp_ms < may_be_sent.start_ms:
        return Settlement(id=conversion.id, state=State.EXPIRED, reason=Reason.EXPIRED_UNSENT)
    if conversion.event.action_timestamp_ms >= may_be_sent.end_ms:
        return Settlement(id=conversion.id, state=State.FUTURE)
    return None
