"""What an answer means, and what follows from it: for the row, the pace, the circuit breaker and the push.

``TREATMENTS`` is the one table of it. ``docs/delivery.md`` shows it with examples (``webflow_conversions.documents.delivery``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from webflow_conversions.delivery.answers import Answer, Trouble, excerpt, who_answered
from webflow_conversions.delivery.concurrency import backoff_seconds
from webflow_conversions.delivery.echo import Likeness, likeness
from webflow_conversions.delivery.protocols import Claimed, Settlement
from webflow_conversions.errors import Stopped
from webflow_conversions.rules.credentials import look_of_token
from webflow_conversions.rules.states import Reason, State, refused


class Outcome(Enum):
    """The class of an answer."""

    ACCEPTED = auto()
    """The API has the event: a success, and the body has its actionId and does not say that it failed."""
    MISMATCHED = auto()
    """A success that speaks of our event, but not by its actionId, or says that it failed: perhaps received, not sent again."""
    UNPROVEN = auto()
    """A success that does not prove to be the API's: no JSON object, or one without our event."""
    REFUSED = auto()
    """The API refuses this event for good."""
    MISROUTED = auto()
    """A server that is not the API answered, whatever the event, and did not take it."""
    LATER = auto()
    """The API did not take the event now, or a gateway says so whose backend may have: all pushes slow down."""
    UNSENT = auto()
    """No byte left."""
    WITHHELD = auto()
    """The request was not allowed to leave any more."""
    IN_DOUBT = auto()
    """The event may have been received."""
    STOP = auto()
    """The answer would be the same for every conversion."""


class Row(Enum):
    """What becomes of the row."""

    ACCEPTED = auto()
    REFUSED = auto()
    """``rejected``, ``refused_<status>``, with the API's words."""
    MISMATCHED = auto()
    """``rejected``, ``echo_mismatch``: possibly received."""
    READY = auto()
    DOUBTFUL = auto()
    """By ``delivery.in_doubt``: ``ready``, or ``sending`` until a person decides."""
    NEXT = auto()
    """It stays claimed, and is the next to be sent."""


class BackOff(Enum):
    """By which number the row's own back-off grows."""

    NONE = auto()
    ATTEMPTS = auto()
    FAILURES = auto()


class Tempo(Enum):
    """What the answer tells the pace."""

    NONE = auto()
    CLEAN = auto()
    SLOW_DOWN = auto()
    """Halve the concurrency; with no good answer since the last trouble, also rest by back-off."""
    REST = auto()
    """Halve the concurrency, and rest by back-off."""
    REST_AS_ASKED = auto()
    """Halve the concurrency, and rest as ``Retry-After`` says, all pushes of the destination; without one, by back-off."""


class Evidence(Enum):
    """What the answer tells the circuit breaker."""

    NONE = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    STRANGE = auto()
    """It is not the API's."""
    REWRITTEN = auto()
    """It is not the API's, though it speaks of the event."""


NOT_THE_API = frozenset({Evidence.STRANGE, Evidence.REWRITTEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What follows from an answer of one class.

    ``is_in_doubt``: adds to ``attempts_in_doubt``. ``is_failure``: adds to the failures that ``attempts_per_run`` limits.
    ``counter``: the field of :class:`~webflow_conversions.delivery.settings.PushCounts` that grows. ``is_good``: whether it
    ends a series of bad answers; False begins or continues one, None does neither. ``end``: the error that ends the push.
    """

    row: Row
    tempo: Tempo
    evidence: Evidence = Evidence.NONE
    back_off: BackOff = BackOff.NONE
    is_in_doubt: bool = False
    is_failure: bool = False
    counter: str | None = None
    is_good: bool | None = None
    end: Callable[[Answer, str, str], Stopped] | None = None


def why_stopped(answer: Answer, connection: str, token: str) -> Stopped:
    """Why no event can be sent over this connection."""
    if answer.trouble is Trouble.UNTRUSTED:
        return Stopped(f"The host of connection {connection} cannot prove who it is ({answer.detail}): nothing is sent to it.")
    if answer.is_foreign:
        return Stopped(
            f"A server that is not Webflow's API refuses the requests of connection {connection}: "
            f"{who_answered(answer, (token,))}. Check its host, and the proxy on the way. No conversion was lost for it."
        )
    return Stopped(f"{token_refused(answer.status, connection, token)} No conversion was lost for it.")


def token_refused(status: int | None, connection: str, token: str) -> str:
    """That the API refuses the token of a connection, and what the token looks like."""
    return (
        f"Webflow refuses the token (HTTP {status}){look_of_token(token)}: put a valid off-site conversion token "
        f"(Insights > Tracking settings) into connection {connection}."
    )


TREATMENTS: Mapping[Outcome, Treatment] = {
    Outcome.ACCEPTED: Treatment(
        row=Row.ACCEPTED, tempo=Tempo.CLEAN, evidence=Evidence.ACCEPTED, counter="accepted", is_good=True
    ),
    Outcome.REFUSED: Treatment(row=Row.REFUSED, tempo=Tempo.CLEAN, evidence=Evidence.REFUSED, is_good=True),
    Outcome.MISMATCHED: Treatment(row=Row.MISMATCHED, tempo=Tempo.SLOW_DOWN, evidence=Evidence.REWRITTEN, is_in_doubt=True),
    Outcome.UNPROVEN: Treatment(
        row=Row.READY,
        tempo=Tempo.SLOW_DOWN,
        evidence=Evidence.STRANGE,
        back_off=BackOff.FAILURES,
        is_in_doubt=True,
        is_failure=True,
        counter="deferred",
        is_good=False,
    ),
    Outcome.MISROUTED: Treatment(
        row=Row.READY,
        tempo=Tempo.SLOW_DOWN,
        evidence=Evidence.STRANGE,
        back_off=BackOff.FAILURES,
        is_failure=True,
        counter="deferred",
        is_good=False,
    ),
    # The others first: it may be this event alone that the API does not take now.
    Outcome.LATER: Treatment(
        row=Row.DOUBTFUL,
        tempo=Tempo.REST_AS_ASKED,
        back_off=BackOff.ATTEMPTS,
        is_in_doubt=True,
        counter="deferred",
        is_good=False,
    ),
    Outcome.UNSENT: Treatment(row=Row.READY, tempo=Tempo.REST, counter="deferred", is_good=False),
    Outcome.WITHHELD: Treatment(row=Row.NEXT, tempo=Tempo.NONE),
    Outcome.IN_DOUBT: Treatment(
        row=Row.DOUBTFUL,
        tempo=Tempo.SLOW_DOWN,
        back_off=BackOff.FAILURES,
        is_in_doubt=True,
        is_failure=True,
        counter="in_doubt",
        is_good=False,
    ),
    Outcome.STOP: Treatment(row=Row.READY, tempo=Tempo.NONE, end=why_stopped),
}


def classify(sent: bytes, answer: Answer) -> Outcome:
    """The outcome of a request; total, and doubt is one of its answers."""
    match answer.trouble:
        case None:
            return _by_status(sent, answer)
        case Trouble.UNSENT:
            return Outcome.UNSENT
        case Trouble.WITHHELD:
            return Outcome.WITHHELD
        case Trouble.UNTRUSTED:
            return Outcome.STOP
        case Trouble.TOO_LARGE if answer.status is not None and 200 <= answer.status < 300:
            return Outcome.UNPROVEN
        case Trouble.LOST if answer.status is None or answer.status < 300:
            return Outcome.IN_DOUBT
        case Trouble.TOO_LARGE | Trouble.LOST:
            return _by_status(sent, answer)


def _by_status(sent: bytes, answer: Answer) -> Outcome:
    match answer.status:
        case None:
            return Outcome.IN_DOUBT
        case 200 if answer.body == sent:
            return Outcome.ACCEPTED
        case status if 200 <= status < 300:
            return _by_likeness(likeness(sent, answer))
        case 401 | 403:
            return Outcome.STOP
        case 408 | 425 | 429 | 503:
            return Outcome.LATER
        case 405 | 407 | 421 | 426 | 511:
            return Outcome.MISROUTED
        case status if status >= 500:
            return Outcome.IN_DOUBT
        case status if status < 400 or answer.is_page:
            return Outcome.MISROUTED
        case _:
            return Outcome.REFUSED


def _by_likeness(found: Likeness) -> Outcome:
    match found:
        case Likeness.ECHO:
            return Outcome.ACCEPTED
        case Likeness.SIMILAR:
            return Outcome.MISMATCHED
        case Likeness.FOREIGN:
            return Outcome.UNPROVEN


_MEASURED = re.compile(r" after \d+ (?:ms|milliseconds)| with (?!0 )\d+ (?:out of \d+ )?bytes \w+")
"""What libcurl measured. It differs from request to request, and rows are counted by their trouble: one outage, one sentence."""


def settlement(
    conversion: Claimed,
    treatment: Treatment,
    answer: Answer,
    *,
    sent_at: float,
    resend: bool,
    token: str,
    chance: Callable[[], float],
) -> Settlement:
    """What to record of an attempt.

    :param resend: whether a conversion in doubt is sent again, or waits for a person.
    :param token: a secret that must not be recorded, should the other side repeat it.
    """
    if treatment.row is Row.ACCEPTED:
        return Settlement(id=conversion.id, state=State.ACCEPTED, http_status=answer.status, attempts=1, sent_at=sent_at)
    status, has_left = answer.status, answer.trouble is None or not answer.trouble.is_before_the_request
    state, reason, trouble = State.READY, None, _MEASURED.sub("", answer.detail) or (f"HTTP {status}" if status else None)
    secrets = (token, conversion.event.user_id)
    # The words get into sentences that Airflow and the ledger keep, where nobody removes them with the person.
    answer = answer.without(conversion.event.action_id)
    if status is not None and (treatment.evidence in NOT_THE_API or treatment.end is not None):
        trouble = who_answered(answer, secrets)
    match treatment.row:
        case Row.REFUSED if status is not None:
            said = excerpt(answer.content or b"", secrets)
            state, reason, trouble = State.REJECTED, refused(status), said or trouble
        case Row.MISMATCHED:
            state, reason = State.REJECTED, Reason.ECHO_MISMATCH.value
        case Row.DOUBTFUL if not resend:
            state, reason = State.SENDING, Reason.IN_DOUBT.value
        case _:
            pass
    return Settlement(
        id=conversion.id,
        state=state,
        reason=reason,
        trouble=trouble,
        http_status=status,
        attempts=int(has_left),
        doubts=int(treatment.is_in_doubt),
        failures=int(treatment.is_failure),
        retry_seconds=_retry_seconds(conversion, treatment.back_off, chance) if state is State.READY else None,
        sent_at=sent_at if has_left else None,
    )


def _retry_seconds(conversion: Claimed, back_off: BackOff, chance: Callable[[], float]) -> float | None:
    match back_off:
        case BackOff.NONE:
            return None
        case BackOff.ATTEMPTS:
            return backoff_seconds(conversion.attempts + 1, chance)
        case BackOff.FAILURES:
            return backoff_seconds(conversion.failures + 1, chance)
