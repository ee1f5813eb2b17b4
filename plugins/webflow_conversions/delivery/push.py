"""One push: claims conversions, sends them, records what came of each; all three at the same time.

A claim is committed before its requests leave, and every outcome goes to the ledger, so what this process knows and
the ledger does not is never more than what is out at this moment: whatever kills it, the ledger can tell what is in
doubt. Nothing is retried out of memory; what is to be tried again goes back to the ledger with its time.
"""

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from webflow_conversions.delivery.circuit_breaker import CircuitBreaker, Stage
from webflow_conversions.delivery.concurrency import Pace
from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.outcomes import Answer, Outcome, Trouble, classify, retry_after_seconds
from webflow_conversions.delivery.progress import ProgressReporter
from webflow_conversions.delivery.protocols import (
    Claimed,
    Clock,
    Elsewhere,
    Forecasts,
    PushLedger,
    Settled,
    Settlement,
    Transport,
)
from webflow_conversions.delivery.rate_limit import RateLimit
from webflow_conversions.delivery.settings import PushCounts, PushSettings, connect_timeout_seconds
from webflow_conversions.delivery.settlements import settlement
from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.window import sendable

log = logging.getLogger(__name__)

LARGEST_CLAIM = 1_000
CLAIM_SECONDS = 0.25
"""A claim is what goes out in this time, or in two rounds of requests: little is in doubt after a crash."""
SETTLE_ROWS = 1_000
SETTLE_SECONDS = 0.25
RENEW_SECONDS = 0.5
"""So often the push also hears of a rest that another one was asked for."""
RECOVER_SECONDS = 2.0
"""So often the push looks for what dead ones have left: it may expire before all that waits."""
PROBE_ROWS = 10
"""Probe size: after a streak of refusals, this many rows of each source are sent as a test."""
LOOK_AGAIN_SECONDS = 2.0
"""While rows wait for their next attempt, so often the push looks whether others need it sooner."""
GRACE_SECONDS = 2.5
"""How long flying requests may take to end after a stop: Airflow kills 5 seconds after SIGTERM."""
LAST_JOBS_SECONDS = 1.5
"""How long the ledger may take for the last outcomes after that."""
POLL_SECONDS, IDLE_SECONDS = 0.01, 0.1
LONG_REST_SECONDS = 5.0
"""Before a rest of this length the claimed rows go back: nobody should have to doubt about them."""
MOST_TOLD = 100
"""So many troubles of a kind are logged one by one."""


@dataclass(slots=True)
class _Out:
    """A request that was started. ``has_left`` once its connection was there and it was still to leave."""

    conversion: Claimed
    body: bytes
    started_at: float
    sent_at: float = 0.0
    has_left: bool = False


class Push:
    """Sends what is due to one destination until nothing is left that may go out in this run.

    :meth:`run` blocks; :meth:`stop` may be called from a signal handler or another thread.

    :param forecasts: where the forecast goes; None for no forecast.
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
        self._ledger = ledger
        self._transport = transport
        self._settings = settings
        self._clock = clock or Clock()
        self._chance = chance
        self._jobs = LedgerThread()
        self._progress = None if forecasts is None else ProgressReporter(forecasts, self._clock, settings.forecast_seconds)
        self._queue: deque[Claimed] = deque()
        self._rate_limit = RateLimit(settings.requests_per_second, connect_timeout_seconds(settings.timeout_seconds))
        self._out: dict[int, _Out] = {}
        self._connecting = 0
        self._outcomes: list[Settlement] = []
        self._settling: list[Settlement] = []
        self._breaker = CircuitBreaker(settings.destination)
        self._is_empty = False
        self._end: Stopped | Unavailable | None = None

        now = self._clock.monotonic()
        self._pace = Pace(most=settings.concurrency, timeout_seconds=settings.timeout_seconds, now=now, chance=chance)
        self._claim_at = self._settle_at = self._renew_at = self._recover_at = self._lease_until = now
        self._rest_of_all_until = now
        self._land_until: float | None = None
        self._bad_since: float | None = None
        self._last_trouble = ""
        self._told = Counter[Outcome]()
        self._finished, self._finished_at, self._rows_per_second = 0, now, 0.0

    def stop(self) -> None:
        """Claim nothing more, let what is out end for some seconds, record it, and give the rest back."""
        self._land_until = self._clock.monotonic() + GRACE_SECONDS
        self._finish(Unavailable("The push was stopped: what it had claimed and not sent waits for the next one."))

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
        with ExitStack() as at_the_end:  # the last of these comes first, and none is left out for what another one raises
            at_the_end.callback(self._close)
            self._begin()
            at_the_end.push(lambda error, *_: self._record_the_rest(has_failed=error is not None))
            at_the_end.callback(self._wait_for, "settle")
            at_the_end.callback(self._wait_for, "claim")
            at_the_end.callback(self._break_off)
            at_the_end.callback(self._land)
            try:
                while self._end is None and not self._is_done:
                    self._turn()
            except BaseException:
                self.stop()
                raise
        log.info("push to %s ended: %s", self._settings.destination, self.counts.to_json())
        if self._end is not None:
            raise self._end
        return self.counts

    def _begin(self) -> None:
        lease = self._settings.lease_seconds
        give_up_at = self._clock.monotonic() + lease

        def job() -> float:
            began = self._clock.monotonic()
            self._ledger.begin(lease)
            return began + lease

        self._jobs.ask("begin", job, self._begun)
        while self._jobs.is_busy("begin"):
            self._jobs.wait(POLL_SECONDS)
            self._jobs.collect()
            if self._jobs.is_busy("begin") and (self._end or self._clock.monotonic() >= give_up_at):
                raise self._end or self._jobs.away or Unavailable("The ledger did not answer in time.")

    def _begun(self, lease_until: float) -> None:
        self._lease_until = lease_until

    def _turn(self) -> None:
        self._jobs.collect()
        self._renew()
        self._recover()
        self._let_all_rest()
        self._claim()
        self._reserve()
        self._send()
        self._receive()
        self._settle()
        if self._progress is not None:
            self._progress.report_if_due()

    def _finish(self, why: Stopped | Unavailable) -> None:
        self._end = self._end or why

    # What is left to do

    @property
    def _is_done(self) -> bool:
        return self._is_empty and self._is_idle

    @property
    def _is_idle(self) -> bool:
        return not (self._queue or self._out or self._outcomes or self._jobs.is_busy("settle"))

    def _claim(self) -> None:
        rows, now = self._claim_rows(), self._clock.monotonic()
        if self._is_empty or self._jobs.is_busy("claim") or now >= self._lease_until:
            return
        match self._breaker.stage:
            case Stage.NONE if len(self._queue) < rows and now >= max(self._claim_at, self._pace.rest_until - CLAIM_SECONDS):
                self._ask_for_claim(self._ledger.claim, rows, self._claimed)
            case Stage.SEEKING | Stage.JUDGING as stage:
                self._give_back()
                if self._is_idle and now >= self._claim_at:
                    self._pursue(stage)
            case Stage.NONE | Stage.TRYING:
                pass

    def _pursue(self, stage: Stage) -> None:
        """The breaker is open: nothing is in flight, and all that is known is recorded."""
        if stage is Stage.SEEKING:
            self._ask_for_claim(self._ledger.claim_probes, PROBE_ROWS, self._claimed_probes)
        else:
            moment = self._clock.now()
            self._jobs.ask("claim", lambda: self._ledger.elsewhere(moment), self._judge)

    def _ask_for_claim(
        self, claim: Callable[[int, datetime], Sequence[Claimed]], rows: int, then: Callable[[Sequence[Claimed]], None]
    ) -> None:
        """A claim that is repeated first gives back what it may have claimed before, with nobody being told."""
        moment, known, tries = self._clock.now(), self._known, count()

        def job() -> Sequence[Claimed]:
            if next(tries):
                self._ledger.release(known)
            return claim(rows, moment)

        self._jobs.ask("claim", job, then)

    @property
    def _known(self) -> list[int]:
        """Whatever the ledger has as claimed by this push, and the push knows of."""
        settled = (outcome.id for outcome in [*self._settling, *self._outcomes])
        return [*(conversion.id for conversion in self._queue), *self._out, *settled, *self._breaker.kept]

    def _claim_rows(self) -> int:
        rows = max(self._rows_per_second * CLAIM_SECONDS, 2 * self._pace.limit)
        if self._settings.requests_per_second is not None:
            rows = min(rows, self._settings.requests_per_second * CLAIM_SECONDS)
        return int(min(max(rows, 1), LARGEST_CLAIM))

    def _claimed(self, conversions: Sequence[Claimed]) -> None:
        self.counts.claimed += len(conversions)
        self._queue.extend(conversions)
        if conversions:
            return
        self._claim_at = self._clock.monotonic() + IDLE_SECONDS
        if self._is_idle and self._breaker.stage is Stage.NONE:
            moment, known = self._clock.now(), self._breaker.kept
            self._jobs.ask("claim", lambda: self._look_for_more(moment, known), self._looked_for_more)

    def _claimed_probes(self, conversions: Sequence[Claimed]) -> None:
        self.counts.claimed += len(conversions)
        self._queue.extend(conversions)
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
        if elsewhere.accepted:
            self._record(self._breaker.accepted_elsewhere())
            if self._breaker.stage is Stage.NONE:
                return
        if elsewhere.has_later:
            self._finish(
                Unavailable(
                    "Everything that this push sent was refused, and another push has what is left: it will show whether the "
                    "rows are wrong. What was refused stays ready."
                )
            )
        elif elsewhere.has_earlier:
            self._breaker.seek()
            self._look_again(None)
        else:
            self._breaker.decide()
            self._follow_breaker()

    def _look_again(self, seconds: float | None) -> None:
        """Claim again when something is due, but neither at once nor much later: others may have given something back."""
        wait = LOOK_AGAIN_SECONDS if seconds is None else min(max(seconds, IDLE_SECONDS), LOOK_AGAIN_SECONDS)
        self._claim_at = self._clock.monotonic() + wait

    def _look_for_more(self, now: datetime, known: list[int]) -> tuple[int, float | None]:
        released = self._ledger.release(known)
        recovered = self._ledger.recover(now)
        return recovered, 0.0 if released else self._ledger.seconds_to_retry(now)

    def _looked_for_more(self, found: tuple[int, float | None]) -> None:
        recovered, seconds = found
        self._recovered(recovered)
        if seconds is None:
            self._is_empty = True
            self._record(self._breaker.end(is_empty=True))
        else:
            self._look_again(seconds)

    def _recover(self) -> None:
        now = self._clock.monotonic()
        if now >= self._recover_at and not self._jobs.is_busy("recover"):
            self._recover_at, moment = now + RECOVER_SECONDS, self._clock.now()
            self._jobs.ask("recover", lambda: self._ledger.recover(moment), self._recovered)

    def _recovered(self, conversions: int) -> None:
        self.counts.recovered += conversions
        self._recover_at = self._clock.monotonic() + RECOVER_SECONDS

    def _reserve(self) -> None:
        """Ask for permits where there is a rate limit; not during a rest, since they would be missed."""
        now = self._clock.monotonic()
        number = self._rate_limit.missing(min(len(self._queue) + self._connecting, self._claim_rows()), now)
        if number > 0 and not self._jobs.is_busy("reserve") and now >= self._pace.rest_until:
            self._jobs.ask("reserve", lambda: self._reserve_now(number), lambda first: self._rate_limit.add(first, number))

    def _reserve_now(self, number: int) -> float:
        """When the first permit is; by the earlier clock, since the ledger's commit may take its time."""
        asked_at = self._clock.monotonic()
        return asked_at + self._ledger.reserve(number, self._rate_limit.seconds_apart)

    # The wire

    def _send(self) -> None:
        now = self._clock.monotonic()
        if not self._is_open(now) or self._breaker.stage in (Stage.SEEKING, Stage.JUDGING):
            return
        while self._queue and self._transport.in_flight < self._pace.limit and self._connecting < self._rate_limit.usable(now):
            conversion = self._queue.popleft()
            unfit = self._unfit(conversion, self._clock.now())
            if unfit is None:
                body = conversion.event.body(self._settings.customer_id)
                self._out[conversion.id] = _Out(conversion, body, now)
                self._connecting += 1
                self._transport.send(conversion.id, body, self._may_leave)
            else:
                self.counts.expired += unfit.state is State.EXPIRED
                self._breaker.put_off(conversion.id)
                self._outcomes.append(unfit)

    def _is_open(self, now: float) -> bool:
        """Whether requests may leave: a request ends within the lease, and nothing says that none is wanted."""
        ends_at = now + self._settings.timeout_seconds
        return self._end is None and now >= self._pace.rest_until and ends_at <= self._lease_until

    def _unfit(self, conversion: Claimed, moment: datetime) -> Settlement | None:
        """What becomes of a conversion that cannot count at this moment; None if it can."""
        may_be_sent = sendable(moment, self._settings.clock_offset)
        if conversion.event.action_timestamp_ms < may_be_sent.start_ms:
            return Settlement(id=conversion.id, state=State.EXPIRED, reason=Reason.EXPIRED_UNSENT)
        if conversion.event.action_timestamp_ms >= may_be_sent.end_ms:
            return Settlement(id=conversion.id, state=State.FUTURE)
        return None

    def _may_leave(self, tag: int) -> bool:
        """Asked right before the first byte: connecting took its time, and so may have whatever froze this process."""
        out, now, moment = self._out[tag], self._clock.monotonic(), self._clock.now()
        out.sent_at = moment.timestamp()
        out.has_left = self._is_open(now) and self._unfit(out.conversion, moment) is None and self._rate_limit.use(now)
        self._connecting -= out.has_left
        return out.has_left

    def _receive(self) -> None:
        if self._out:
            self._take_in()
            self._measure()
        elif not self._jobs.is_idle:
            self._jobs.wait(POLL_SECONDS)
        elif not self._is_done:
            now = self._clock.monotonic()
            due = (self._rate_limit.next_at(now) or now) if self._queue else self._claim_at
            self._clock.sleep(min(max(due - now, self._pace.rest_until - now, POLL_SECONDS), IDLE_SECONDS))

    def _take_in(self) -> None:
        for tag, answer in self._transport.poll(POLL_SECONDS):
            self._answered(self._out[tag], answer)
            del self._out[tag]  # Not before: what broke off in the middle is in doubt.

    def _answered(self, out: _Out, answer: Answer) -> None:
        now = self._clock.monotonic()
        self._connecting -= not out.has_left
        outcome = classify(out.body, answer)
        if outcome is Outcome.WITHHELD:
            self._queue.appendleft(out.conversion)
            return
        result = settlement(
            out.conversion,
            outcome,
            answer,
            sent_at=out.sent_at,
            resend=self._settings.resend,
            token=self._settings.token,
            chance=self._chance,
        )
        self.counts.requests += result.attempts
        self._finished += 1
        results = [result]
        match outcome:
            case Outcome.ACCEPTED:
                self.counts.accepted += 1
                self._pace.clean(answer.seconds)
                self._bad_since = None
                results += self._breaker.accepted()
            case Outcome.REFUSED:
                self._pace.clean(answer.seconds)
                self._bad_since = None
                results = self._breaker.refused(result)
            case Outcome.MISMATCHED:
                self._pace.clean(answer.seconds)
                self._bad_since = None
                self._breaker.strange(answer)
            case Outcome.MISROUTED:
                self.counts.deferred += 1
                self._breaker.strange(answer)
            case Outcome.LATER:
                self.counts.deferred += 1
                asked = retry_after_seconds(answer.retry_after, self._clock.now() + self._settings.clock_offset)
                self._bear(self._pace.rest(started_at=out.started_at, now=now, asked_seconds=asked))
                if asked is not None:
                    self._rest_of_all_until = max(self._rest_of_all_until, now + asked)
                    self._weigh(asked)
            case Outcome.UNSENT:
                self.counts.deferred += 1
                self._bear(self._pace.rest(started_at=out.started_at, now=now, asked_seconds=None))
            case Outcome.IN_DOUBT:
                self.counts.in_doubt += 1
                if self._bad_since is None:
                    self._pace.slow_down(started_at=out.started_at, now=now)
                else:  # Nothing good came since the last trouble: each further event would be in doubt, too.
                    self._bear(self._pace.rest(started_at=out.started_at, now=now, asked_seconds=None))
            case Outcome.STOP:
                self._finish(_why_stopped(answer, self._settings.destination))
        if outcome in (Outcome.MISROUTED, Outcome.LATER, Outcome.UNSENT, Outcome.IN_DOUBT):
            self._bad_since = self._bad_since or now
            self._last_trouble = result.trouble or ""
            self._tell(outcome, out.conversion.event.action_id, self._last_trouble)
            self._lose_patience(now)
        if outcome not in (Outcome.ACCEPTED, Outcome.REFUSED):
            self._breaker.put_off(out.conversion.id)
        self._record(results)
        self._follow_breaker()

    def _follow_breaker(self) -> None:
        if self._breaker.verdict is not None:
            self._finish(self._breaker.verdict)

    def _record(self, results: list[Settlement]) -> None:
        """To be settled."""
        for result in results:
            if result.state is State.REJECTED:
                self.counts.rejected[str(result.reason)] += 1
        self._outcomes += results

    def _tell(self, outcome: Outcome, action_id: str, trouble: str) -> None:
        self._told[outcome] += 1
        if self._told[outcome] <= MOST_TOLD:
            more = " (more of these are in webflow.history alone)" if self._told[outcome] == MOST_TOLD else ""
            log.warning("%s: %s %s%s", action_id, outcome.name.lower(), trouble, more)

    def _let_all_rest(self) -> None:
        """Tell the other pushes of a rest that this one was asked for."""
        seconds = self._rest_of_all_until - self._clock.monotonic()
        if seconds > 0 and not self._jobs.is_busy("rest"):
            until = self._rest_of_all_until
            self._jobs.ask("rest", lambda: self._ledger.rest(seconds), lambda _: self._told_all(until))

    def _told_all(self, until: float) -> None:
        if self._rest_of_all_until <= until:  # otherwise a longer one was asked for meanwhile
            self._rest_of_all_until = self._clock.monotonic()

    def _weigh(self, seconds: float) -> None:
        """The API asks for a rest of this length."""
        if seconds > self._settings.patience_seconds:
            self._finish(
                Unavailable(
                    f"The API asks to wait {seconds:.0f} seconds, more than delivery.patience_seconds: the rest stays ready."
                )
            )

    def _bear(self, seconds: float) -> None:
        """A rest of this length has begun."""
        if seconds > LONG_REST_SECONDS:
            self._give_back()

    def _give_back(self) -> None:
        """Return what was claimed and never left."""
        self._outcomes += [Settlement(id=conversion.id, state=State.READY) for conversion in self._queue]
        self._queue.clear()
        self._breaker.call_off()

    # The ledger

    def _settle(self) -> None:
        now = self._clock.monotonic()
        due = len(self._outcomes) >= SETTLE_ROWS or now >= self._settle_at or not self._out
        if self._outcomes and due and not self._jobs.is_busy("settle"):
            self._settling, self._outcomes = [*self._settling, *self._outcomes], []
            self._settle_at, batch = now + SETTLE_SECONDS, self._settling
            self._jobs.ask("settle", lambda: self._ledger.settle(batch), self._settled)

    def _settled(self, settled: Settled) -> None:
        batch, self._settling = len(self._settling), []
        self._outcomes += settled.locked
        if lost := batch - settled.rows - len(settled.locked):
            log.warning("%s of %s outcomes were recorded before, or are another push's by now", lost, batch)

    def _renew(self) -> None:
        now = self._clock.monotonic()
        if now >= self._lease_until:
            self._finish(self._jobs.away or Unavailable("The lease of this push ended before the ledger renewed it."))
        elif now >= self._renew_at and not self._jobs.is_busy("renew"):
            self._renew_at = now + RENEW_SECONDS
            lease, counts = self._settings.lease_seconds, self.counts.to_json()
            self._jobs.ask("renew", lambda: self._ledger.renew(lease, counts), lambda rest: self._renewed(now + lease, rest))

    def _renewed(self, until: float, rest_seconds: float | None) -> None:
        if rest_seconds is None:
            self._finish(Stopped("Another try of this task has taken over; this one sends nothing more."))
        else:
            self._lease_until = until
            self._pace.rest_for(rest_seconds, self._clock.monotonic())
            if rest_seconds > 0:
                self._bear(rest_seconds)
                self._weigh(rest_seconds)

    def _land(self) -> None:
        """Let what is out end."""
        land_until = self._clock.monotonic() + self._settings.timeout_seconds
        while self._out and self._clock.monotonic() < min(land_until, self._land_until or land_until):
            self._take_in()
            self._jobs.collect()
            self._settle()

    def _break_off(self) -> None:
        """What has not ended by now is lost, or never left; what was refused is refused or not."""
        self._transport.drop(self._out.keys())
        for out in self._out.values():
            trouble = Trouble.LOST if out.has_left else Trouble.WITHHELD
            self._answered(out, Answer(trouble=trouble, detail="stopped before the answer came"))
        self._out.clear()
        self._record(self._breaker.end(is_empty=self._is_empty))

    def _close(self) -> None:
        self._jobs.close()
        self._transport.close()
        if self._progress is not None:
            self._progress.close(in_haste=self._land_until is not None)

    def _record_the_rest(self, *, has_failed: bool) -> None:
        """Record what is known, give back what never left, and end.

        :param has_failed: then not all is known: what is not recorded stays claimed, and is in doubt when the lease is over.
        """
        self._give_back()
        self._settling, self._outcomes = [*self._settling, *self._outcomes], []
        outcomes = self._settling
        self.counts.complete = self._end is None
        counts = self.counts.to_json()
        rest_seconds = self._rest_of_all_until - self._clock.monotonic()

        def end() -> Settled:
            settled = self._ledger.settle(outcomes)
            if settled.locked:
                raise Unavailable(
                    f"{len(settled.locked)} rows of the ledger whose outcomes are to be recorded are locked by another session."
                )
            if rest_seconds > 0:
                self._ledger.rest(rest_seconds)
            if not has_failed:
                self._ledger.release([])  # All that is known is settled: what is left came of a claim that nobody confirmed.
                self._ledger.end(counts)
            return settled

        self._jobs.ask("end", end, self._settled)
        self._wait_for("end")
        if self._jobs.is_busy("end"):
            self._finish(self._jobs.away or Unavailable("The ledger did not take the last outcomes in time."))

    def _wait_for(self, kind: str) -> None:
        """Wait for a job of the ledger: long if nobody is in a hurry, not long if it is away."""
        since = self._clock.monotonic()
        while self._jobs.is_busy(kind):
            self._jobs.wait(POLL_SECONDS)
            self._jobs.collect()
            land_until = self._land_until or since + (0.0 if self._jobs.away else self._settings.lease_seconds)
            if self._clock.monotonic() > land_until + LAST_JOBS_SECONDS:
                break

    # The clock

    def _measure(self) -> None:
        now = self._clock.monotonic()
        if now - self._finished_at >= 0.5:
            self._rows_per_second = self._finished / (now - self._finished_at)
            self._finished, self._finished_at = 0, now

    def _lose_patience(self, now: float) -> None:
        waited = 0.0 if self._bad_since is None else now - self._bad_since
        if waited > self._settings.patience_seconds:
            self._finish(
                Unavailable(
                    f"The API gave no good answer for {waited:.0f} seconds (last trouble: {self._last_trouble}): "
                    "what is left stays ready for the next run."
                )
            )


def _why_stopped(answer: Answer, connection: str) -> Stopped:
    if answer.trouble is Trouble.UNTRUSTED:
        return Stopped(f"The host of connection {connection} cannot prove who it is ({answer.detail}): nothing is sent to it.")
    return Stopped(
        f"Webflow refuses the token (HTTP {answer.status}): put a valid off-site conversion token (Insights > Tracking settings) "
        f"into connection {connection}. No conversion was lost for it."
    )
