"""One push: claims conversions, sends them, records what came of each; all three at the same time.

A claim is committed before its requests leave, and every outcome goes to the ledger, so the ledger lags behind this
process only by the requests that are out at this moment: however the process dies, the ledger can tell which rows are in
doubt. Nothing is retried out of memory: a row to be tried again goes back to the ledger with its time.
"""

import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from types import TracebackType

from webflow_conversions.delivery.circuit_breaker import CircuitBreaker
from webflow_conversions.delivery.claims import IDLE_SECONDS, Claims, unfit
from webflow_conversions.delivery.concurrency import Pace
from webflow_conversions.delivery.consequences import Consequences
from webflow_conversions.delivery.ending import Ending, Phase
from webflow_conversions.delivery.in_flight import InFlight
from webflow_conversions.delivery.lease import Lease
from webflow_conversions.delivery.ledger_thread import POLL_SECONDS, LedgerThread
from webflow_conversions.delivery.pause import SharedPause
from webflow_conversions.delivery.progress import ProgressReporter
from webflow_conversions.delivery.protocols import Claimed, Clock, Forecasts, PushLedger, Settled, Transport
from webflow_conversions.delivery.rate_limit import RateLimit, ask_for_permits
from webflow_conversions.delivery.settings import PushCounts, PushSettings, connect_timeout_seconds
from webflow_conversions.delivery.settling import Settling
from webflow_conversions.errors import Unavailable
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import sendable

log = logging.getLogger(__name__)

LAST_JOBS_SECONDS = 1.5
"""Seconds that the ledger may take for the last outcomes, after the requests have ended."""


class Push:
    """Sends what is due to one destination until nothing is left that may go out in this run.

    :meth:`run` blocks; :meth:`stop` may be called from a signal handler or another thread. ``counts`` and ``phase`` may be
    read meanwhile.

    :param forecasts: where the forecast goes; None for no forecast.
    :param chance: a number in ``[0, 1)``.
    """

    def __init__(
        self,
        ledger: PushLedger,
        transport: Transport,
        settings: PushSettings,
        forecasts: Forecasts | None = None,
        *,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.counts = PushCounts()
        self.phase = Phase.BEGINNING
        self._ledger = ledger
        self._transport = transport
        self._settings = settings
        self._clock = clock = clock or Clock()
        self._jobs = jobs = LedgerThread()
        self._progress = None if forecasts is None else ProgressReporter(forecasts, clock, settings.forecast_seconds)
        now = clock.monotonic()
        self._ending = ending = Ending(clock, settings.grace_seconds)
        self._pause = SharedPause(ledger, jobs, clock)
        self._pace = Pace(most=settings.concurrency, timeout_seconds=settings.timeout_seconds, now=now, chance=chance)
        self._rate_limit = RateLimit(settings.requests_per_second, connect_timeout_seconds(settings.timeout_seconds))
        self._breaker = CircuitBreaker(settings.destination)
        self._in_flight = InFlight(transport, self._rate_limit, clock, self._may_leave)
        self._settling = Settling(ledger, jobs, clock, self.counts.rejected)
        self._claims = Claims(ledger, jobs, clock, ending, self._breaker, self._in_flight, self._settling, settings, self.counts)
        self._consequences = Consequences(
            clock, ending, self._pace, self._pause, self._breaker, self._claims, self._settling, settings, self.counts, chance
        )
        self._lease = Lease(ledger, jobs, clock, ending, seconds=settings.lease_seconds, paused=self._consequences.paused)

    @property
    def concurrency(self) -> int:
        """How many requests may be out at this moment."""
        return self._pace.limit

    def stop(self) -> None:
        """Claim nothing more, let requests end for some seconds, record their outcomes, and give the rest back."""
        self._ending.stop()

    def run(self) -> PushCounts:
        """Push until nothing is left to do.

        The work is done in a thread of its own: a time-out of the task or Ctrl-C raises its exception wherever the
        caller's thread is at that moment, and there must be no answer in its hands.

        :raises Stopped: if it would be the same for every conversion (a refused token, say), or if another push has
            taken this one's place. What is known is recorded first.
        :raises Unavailable: after :meth:`stop`, if the API gave no good answer for as long as the settings have
            patience, or if the ledger was away for longer than the lease.
        """
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="push") as pool:
            running = pool.submit(self._run)
            try:
                return running.result()
            except BaseException:
                if not running.done():
                    self.stop()
                raise

    def _run(self) -> PushCounts:
        with ExitStack() as shut_down:
            shut_down.push(partial(self._take, Phase.CLOSING, self._close))
            if self._lease.begin():
                self._pace.begin_with_one()
                self._breaker.distrust()
            # An ExitStack begins with the last, and leaves none out because of an error that another one raised.
            for phase, step in reversed(self._steps_of_shut_down()):
                shut_down.push(partial(self._take, phase, step))
            self._work()
        self.phase = Phase.ENDED
        log.info("push to %s ended: %s", self._settings.destination, self.counts.to_json())
        if self._ending.error is not None:
            raise self._ending.error
        return self.counts

    # The loop

    def _work(self) -> None:
        self.phase = Phase.PUSHING
        try:
            while self._ending.error is None and not (self._claims.is_empty and self._claims.is_idle):
                self._turn()
        except BaseException:
            self.stop()
            raise

    def _turn(self) -> None:
        """Look at everything once; waits only for answers."""
        self._jobs.collect()
        self._lease.renew(self.counts.to_json)
        self._claims.recover()
        self._pause.share()
        rows = self._claims.rows(self._pace.limit)
        if not self._lease.is_over:
            self._claims.claim(rows, self._pace.rest_until)
        if self._clock.monotonic() >= self._pace.rest_until:  # a permit that is not used in time is lost
            requests = min(len(self._claims.queue) + self._in_flight.connecting, rows)
            ask_for_permits(self._rate_limit, requests, self._ledger, self._jobs, self._clock)
        self._send()
        self._receive()
        self._settling.settle(at_once=not self._in_flight)
        if self._progress is not None:
            self._progress.report_if_due()

    def _send(self) -> None:
        """Start requests, as many as concurrency and rate limit allow."""
        now, queue = self._clock.monotonic(), self._claims.queue
        if self._breaker.is_open or not self._is_open(now):
            return
        may_be_sent = sendable(self._clock.now(), self._settings.clock_offset)
        while queue and self._in_flight.has_room(self._pace.limit, now):
            conversion = queue.popleft()
            outcome = unfit(conversion, may_be_sent)
            if outcome is None:
                self._in_flight.start(conversion, conversion.event.body(self._settings.customer_id), now)
            else:
                self.counts.expired += outcome.state is State.EXPIRED
                self._breaker.put_off(conversion.id)
                self._settling.add([outcome])

    def _is_open(self, now: float) -> bool:
        """Whether requests may leave: they end within the lease, no pause is on, and the push goes on."""
        return (
            self._ending.error is None
            and now >= self._pace.rest_until
            and self._lease.covers(now + self._settings.timeout_seconds)
        )

    def _may_leave(self, conversion: Claimed, now: float, moment: datetime) -> bool:
        return self._is_open(now) and unfit(conversion, sendable(moment, self._settings.clock_offset)) is None

    def _receive(self) -> None:
        """Handle the answers that came; wait a little if there is none."""
        if self._in_flight:
            self._take_answers()
        elif not self._jobs.is_idle:
            self._jobs.wait(POLL_SECONDS)
        elif not (self._claims.is_empty and self._claims.is_idle):
            now = self._clock.monotonic()
            due = (self._rate_limit.next_at(now) or now) if self._claims.queue else self._claims.claim_at
            self._clock.sleep(min(max(due - now, self._pace.rest_until - now, POLL_SECONDS), IDLE_SECONDS))

    def _take_answers(self) -> None:
        for request, answer in self._in_flight.ended(POLL_SECONDS):
            self._consequences.apply(request, answer)

    # The shut-down

    def _steps_of_shut_down(self) -> Sequence[tuple[Phase, Callable[[bool], None]]]:
        """In their order. Each is told whether an error that nobody expected ends the push."""
        return (
            (Phase.LANDING, self._land),
            (Phase.BREAKING_OFF, self._break_off),
            (Phase.AWAITING_CLAIM, lambda _: self._wait_for("claim")),
            (Phase.AWAITING_OUTCOMES, lambda _: self._wait_for("settle")),
            (Phase.RECORDING, self._record_the_rest),
        )

    def _take(
        self,
        phase: Phase,
        step: Callable[[bool], None],
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.phase = phase
        step(error is not None)

    def _land(self, _: bool) -> None:
        """Let requests end."""
        land_until = self._clock.monotonic() + self._settings.timeout_seconds
        while self._in_flight and self._clock.monotonic() < min(land_until, self._ending.land_until or land_until):
            self._take_answers()
            self._jobs.collect()
            self._settling.settle(at_once=not self._in_flight)

    def _break_off(self, _: bool) -> None:
        """Requests that have not ended are lost, or never left; refusals that were kept back get their outcome."""
        for request, answer in self._in_flight.break_off():
            self._consequences.apply(request, answer)
        self._settling.add(self._breaker.end(is_empty=self._claims.is_empty))

    def _record_the_rest(self, has_failed: bool) -> None:
        """Record what is known, give back what never left, and end.

        After a failure not all is known: rows without an outcome stay claimed, and are in doubt when the lease is over.
        """
        self._claims.give_back()
        outcomes = self._settling.take()
        self.counts.complete = self._ending.error is None
        counts, pause_seconds = self.counts.to_json(), self._pause.seconds_left

        def end() -> Settled:
            settled = self._ledger.settle(outcomes)
            if settled.locked:
                raise Unavailable(
                    f"{len(settled.locked)} rows of the ledger whose outcomes are to be recorded are locked by another session."
                )
            if pause_seconds > 0:
                self._ledger.rest(pause_seconds)
            if not has_failed:
                self._ledger.release([])  # All that is known is settled: the rest came of a claim that was not confirmed.
                self._ledger.end(counts)
            return settled

        self._jobs.ask("end", end, self._settling.settled)
        self._wait_for("end")
        if self._jobs.is_busy("end"):
            self._ending.because(self._jobs.away or Unavailable("The ledger did not take the last outcomes in time."))

    def _wait_for(self, kind: str) -> None:
        """Wait for a job of the ledger: as long as the lease, but not long after a stop or while the ledger is away."""
        since = self._clock.monotonic()
        while self._jobs.is_busy(kind):
            self._jobs.wait(POLL_SECONDS)
            self._jobs.collect()
            land_until = self._ending.land_until or since + (0.0 if self._jobs.away else self._settings.lease_seconds)
            if self._clock.monotonic() > land_until + LAST_JOBS_SECONDS:
                break

    def _close(self, _: bool) -> None:
        self._jobs.close()
        self._ledger.close()
        self._transport.close()
        if self._progress is not None:
            self._progress.close(in_haste=self._ending.land_until is not None)
