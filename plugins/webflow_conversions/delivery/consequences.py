"""What follows from each answer, put into effect: the table of ``outcomes`` says what it is."""

import logging
from collections import Counter
from collections.abc import Callable

from webflow_conversions.delivery.answers import Answer, retry_after_seconds
from webflow_conversions.delivery.circuit_breaker import CircuitBreaker
from webflow_conversions.delivery.claims import Claims
from webflow_conversions.delivery.concurrency import Pace, Patience
from webflow_conversions.delivery.echo import differences
from webflow_conversions.delivery.ending import Ending
from webflow_conversions.delivery.in_flight import Request
from webflow_conversions.delivery.outcomes import TREATMENTS, Outcome, Row, Tempo, classify, settlement
from webflow_conversions.delivery.pause import SharedPause
from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.delivery.settings import PushCounts, PushSettings
from webflow_conversions.delivery.settling import Settling

log = logging.getLogger(__name__)

LONG_REST_SECONDS = 5.0
"""Release claimed rows before a rest of this length: a crash during it must not leave them in doubt."""
ECHOES_TO_COMPARE = 100
"""Echoes in another form than the event's that are compared with it, until one differs: comparing takes time."""


class Consequences:
    """Applies the treatment of an answer to the row, the pace, the circuit breaker, the counts and the push."""

    def __init__(
        self,
        clock: Clock,
        ending: Ending,
        pace: Pace,
        pause: SharedPause,
        breaker: CircuitBreaker,
        claims: Claims,
        settling: Settling,
        settings: PushSettings,
        counts: PushCounts,
        chance: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._ending = ending
        self._pace = pace
        self._pause = pause
        self._breaker = breaker
        self._claims = claims
        self._settling = settling
        self._settings = settings
        self._counts = counts
        self._chance = chance
        self._patience = Patience(settings.patience_seconds)
        self._told = Counter[Outcome]()
        self._echoes_to_compare = ECHOES_TO_COMPARE

    def apply(self, request: Request, answer: Answer) -> None:
        """Do what follows from this answer."""
        now, conversion = self._clock.monotonic(), request.conversion
        outcome = classify(request.body, answer)
        treatment = TREATMENTS[outcome]
        if treatment.row is Row.NEXT:
            self._claims.queue.appendleft(conversion)
            return
        if outcome is Outcome.ACCEPTED and answer.body != request.body:
            self._note_differences(request, answer)
        result = settlement(
            conversion,
            treatment,
            answer,
            sent_at=request.sent_at,
            resend=self._settings.resend,
            token=self._settings.token,
            chance=self._chance,
        )
        self._claims.answered(now)
        self._counts.add(treatment.counter, requests=result.attempts)
        self._keep_pace(treatment.tempo, answer, request.started_at, now)
        if treatment.is_good:
            self._patience.good()
        elif treatment.is_good is not None:
            trouble = result.trouble or ""
            self._tell(outcome, conversion.event.action_id, trouble)
            self._ending.because(self._patience.bad(now, trouble))
        if treatment.end is not None:
            self._ending.because(treatment.end(answer, self._settings.destination, self._settings.token))
        self._settling.add(self._breaker.judge(treatment.evidence, answer, result))
        self._ending.because(self._breaker.verdict)
        self._counts.misled = self._breaker.is_misled

    def _note_differences(self, request: Request, answer: Answer) -> None:
        """Log once in which fields the echoes differ from what was sent: they are accepted."""
        if self._echoes_to_compare > 0:
            self._echoes_to_compare -= 1
            if fields := differences(request.body, answer):
                self._echoes_to_compare = 0
                log.warning(
                    "The API has the events, but its echo differs from what was sent in %s: something on the way may write it "
                    "anew. This is said once.",
                    ", ".join(fields),
                )

    def _keep_pace(self, tempo: Tempo, answer: Answer, started_at: float, now: float) -> None:
        match tempo:
            case Tempo.NONE:
                pass
            case Tempo.CLEAN:
                self._pace.clean(answer.seconds)
            case Tempo.SLOW_DOWN if not self._patience.is_tried:
                self._pace.slow_down(started_at=started_at, now=now)
            case Tempo.SLOW_DOWN | Tempo.REST:
                self._rest(self._pace.rest(started_at=started_at, now=now, asked_seconds=None))
            case Tempo.REST_AS_ASKED:
                asked = retry_after_seconds(answer.header(b"retry-after"), self._clock.now() + self._settings.clock_offset)
                self._rest(self._pace.rest(started_at=started_at, now=now, asked_seconds=asked))
                if asked is not None:
                    self._pause.ask(asked)
                    self._ending.because(self._patience.pause(asked))

    def _rest(self, seconds: float) -> None:
        """A rest of this length has begun."""
        if seconds > LONG_REST_SECONDS:
            self._claims.give_back()

    def paused(self, seconds: float) -> None:
        """Another push recorded a pause, of which this is left."""
        self._pace.rest_for(seconds, self._clock.monotonic())
        self._rest(seconds)
        self._ending.because(self._patience.pause(seconds))

    def _tell(self, outcome: Outcome, action_id: str, trouble: str) -> None:
        self._told[outcome] += 1
        told, most = self._told[outcome], self._settings.told_troubles
        if told <= most:
            more = " (more of these are in webflow.history alone)" if told == most else ""
            log.warning("%s: %s %s%s", action_id, outcome.name.lower(), trouble, more)
