"""What is said of a conversion: where it stands and what becomes of it, in the reader's words and in the engineer's.

All of it is chosen from one value, the :class:`Prospect`, so that no sentence denies another.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from webflow_conversions.ledger.search import Conversion
from webflow_conversions.rules.credit import HOW_TO_KNOW
from webflow_conversions.rules.states import REFUSED_PREFIX, STANDINGS, WAITING, Reason, State
from webflow_conversions.rules.window import MAX_AGE
from webflow_conversions.ui.formatting import duration
from webflow_conversions.ui.funnel import explained
from webflow_conversions.ui.timeline import moment_of
from webflow_conversions.ui.words import IN_DOUBT, STATE_WORDS, reason_words


class Prospect(StrEnum):
    """What becomes of a conversion if no person does anything."""

    RECEIVED = "received"
    """Webflow has it."""
    OUT = "out"
    """A request for it is out, and a push waits for the answer."""
    GOES_OUT = "goes_out"
    """A run sends it."""
    WAITS = "waits"
    """A run sends it once its user, its visits or its time have come."""
    UNDECIDED = "undecided"
    """Its answer was lost: the next run or a person decides."""
    IF_CHANGED = "if_changed"
    """A run sends it only if its source, the configuration or its visits change."""
    STAYS = "stays"
    """It stays as it is."""
    NEVER = "never"
    """Nothing and nobody can send it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of a conversion.

    ``label`` is its state in a few words, ``badge`` the colour of that: a state, or ``in_doubt``. ``sentence`` is for readers,
    ``meaning`` and ``remedy`` are for engineers.
    """

    prospect: Prospect
    label: str
    badge: str
    sentence: str
    meaning: str
    remedy: str


def said_of(conversion: Conversion, now: datetime, *, is_rehearsing: bool = False) -> Said:
    """What is said of a conversion at ``now``; ``is_rehearsing``: runs send nothing at present."""
    prospect = prospect_of(conversion, now)
    label, badge = _label(conversion, prospect)
    meaning, remedy = _for_engineers(conversion, prospect)
    future = _future(conversion, prospect, now)
    if is_rehearsing and prospect in _SENT_BY_RUNS:
        future = REHEARSED if prospect is Prospect.GOES_OUT else f"{future} While only rehearsals run, nothing is sent."
    parts = (f"{_cause(conversion, prospect)}.", future, _possibly_received(conversion, prospect))
    sentence = " ".join(part for part in parts if part.strip("."))
    return Said(prospect=prospect, label=label, badge=badge, sentence=sentence, meaning=meaning, remedy=remedy)


REHEARSED = "It would go out, but only rehearsals run: nothing is sent."
_SENT_BY_RUNS = frozenset({Prospect.GOES_OUT, Prospect.WAITS, Prospect.UNDECIDED, Prospect.IF_CHANGED})


def prospect_of(conversion: Conversion, now: datetime) -> Prospect:
    """What becomes of a conversion; total."""
    state, reason = conversion.state, conversion.reason or ""
    if state is State.ACCEPTED:
        return Prospect.RECEIVED
    if state is State.SENDING and not conversion.is_in_doubt:
        return Prospect.OUT
    if conversion.forgotten_at is not None or reason == Reason.FORGOTTEN or state is State.EXPIRED or is_too_old(conversion, now):
        return Prospect.NEVER
    match state:
        case State.SENDING:
            return Prospect.UNDECIDED
        case State.READY:
            return Prospect.GOES_OUT
        case State.HELD | State.FUTURE:
            return Prospect.WAITS
        case State.WITHDRAWN:
            return Prospect.IF_CHANGED if reason == Reason.NO_LONGER_IN_SOURCE else Prospect.STAYS
        case State.REJECTED:
            by_hand = reason in (Reason.ECHO_MISMATCH, Reason.WRITTEN_OFF) or conversion.attempts_in_doubt > 0
            return Prospect.STAYS if by_hand else Prospect.IF_CHANGED


def is_too_old(conversion: Conversion, now: datetime) -> bool:
    """Whether it happened more than 2 days ago."""
    expires_at = moment_of(conversion.action_timestamp_ms, after=MAX_AGE)
    return expires_at is not None and expires_at < now


def _recorded_next(conversion: Conversion, prospect: Prospect) -> Reason | None:
    """The reason with which the next run records that a conversion is too old; None for one that has ended.

    As ``ledger/sql/expiry/expire_waiting.sql`` has it, and the recovery of a push.
    """
    if prospect is not Prospect.NEVER or conversion.state not in (*WAITING, State.SENDING):
        return None
    if conversion.attempts_in_doubt or conversion.state is State.SENDING:
        return Reason.EXPIRED_IN_DOUBT
    if conversion.state is State.HELD and conversion.reason == Reason.UNKNOWN_USER:
        return Reason.EXPIRED_UNIDENTIFIED
    return Reason.EXPIRED_IN_REHEARSAL if conversion.is_rehearsed else Reason.EXPIRED_UNSENT


def _label(conversion: Conversion, prospect: Prospect) -> tuple[str, str]:
    if _recorded_next(conversion, prospect):
        return STATE_WORDS[State.EXPIRED], State.EXPIRED
    if conversion.is_in_doubt:
        return IN_DOUBT, "in_doubt"
    match conversion.state, conversion.reason:
        case State.HELD, Reason.NOT_LOADED_YET:
            label = "waiting for its visits"
        case State.HELD, _:
            label = "waiting for its user"
        case State.REJECTED, str(reason) if reason.startswith(REFUSED_PREFIX):
            label = "refused by Webflow"
        case State.REJECTED, Reason.WRITTEN_OFF:
            label = "written off"
        case State.REJECTED, Reason.ECHO_MISMATCH:
            label = "answer not understood"
        case State.REJECTED, _:
            label = "not sendable"
        case state, _:
            label = STATE_WORDS[state]
    return label, conversion.state


def _cause(conversion: Conversion, prospect: Prospect) -> str:
    """Why it stands where it does, in words without a full stop; empty where the future says all."""
    if conversion.forgotten_at is not None and prospect is not Prospect.RECEIVED:
        return reason_words(Reason.FORGOTTEN)
    recorded = _recorded_next(conversion, prospect)
    if recorded:
        return reason_words(recorded)
    if prospect is Prospect.UNDECIDED:
        return reason_words(Reason.IN_DOUBT)
    if prospect in (Prospect.RECEIVED, Prospect.OUT, Prospect.GOES_OUT) or conversion.reason is None:
        return ""
    return reason_words(conversion.reason)


def _future(conversion: Conversion, prospect: Prospect, now: datetime) -> str:
    expires_at = moment_of(conversion.action_timestamp_ms, after=MAX_AGE)
    left = f" in the next {duration(expires_at - now)}" if expires_at else ""
    match prospect:
        case Prospect.RECEIVED:
            several = conversion.attempts > 1 and conversion.attempts_in_doubt
            return f"Webflow received it{', perhaps more than once' if several else ''}."
        case Prospect.OUT:
            return "A request for it is out, and its answer comes within seconds."
        case Prospect.GOES_OUT:
            return "It goes out with the run that is at work, or with the next one."
        case Prospect.WAITS:
            return _wait(conversion, now, left)
        case Prospect.UNDECIDED:
            decides = "A person decides" if conversion.reason == Reason.IN_DOUBT else "The next run decides"
            return f"{decides} whether it is sent again{left}."
        case Prospect.IF_CHANGED:
            reason = conversion.reason or ""
            by_hand = reason == Reason.NO_LONGER_IN_SOURCE or reason.startswith(REFUSED_PREFIX)
            return f"It goes out {'by itself ' if by_hand else ''}only if {_change(reason)}{left}."
        case Prospect.STAYS:
            return "It is not sent again by itself." if conversion.attempts else "It does not go out by itself."
        case Prospect.NEVER:
            return "It never goes out."


def _wait(conversion: Conversion, now: datetime, left: str) -> str:
    occurred_at = moment_of(conversion.action_timestamp_ms)
    if conversion.state is State.FUTURE:
        has_come = occurred_at is not None and occurred_at <= now
        when = "Its time has come: it goes out with the next run" if has_come else "It goes out when its time has come"
        return f"{when}{'' if conversion.user_id else ', if its user is known then'}."
    if conversion.reason == Reason.NOT_LOADED_YET:
        return "It goes out when they are, and before it is 2 days old in any case."
    return f"It goes out if the user becomes known{left}."


def _change(reason: str) -> str:
    match reason:
        case Reason.NO_LONGER_IN_SOURCE:
            return "its source returns it again"
        case Reason.NO_VIEW | Reason.VIEWED_LATER:
            return "visits that are loaded later show otherwise"
        case Reason.UNKNOWN_GOAL | Reason.GOAL_NOT_YET_CREATED | Reason.GOAL_RENAMED:
            return "its source or the goals of the configuration are corrected"
        case _:
            return "this is corrected"


def _possibly_received(conversion: Conversion, prospect: Prospect) -> str:
    """That Webflow may have it although nobody knows; empty where it has, or cannot have it."""
    if prospect in (Prospect.RECEIVED, Prospect.OUT):
        return ""
    if prospect is Prospect.GOES_OUT and conversion.attempts_in_doubt:
        return "An earlier request for it has no answer, so Webflow may receive it twice."
    if conversion.attempts_in_doubt or conversion.is_in_doubt or conversion.reason in _MAY_BE_RECEIVED:
        return "A request for it left, so Webflow may have received it."
    return ""


_MAY_BE_RECEIVED = frozenset({Reason.ECHO_MISMATCH, Reason.IN_DOUBT, Reason.EXPIRED_IN_DOUBT})


def _for_engineers(conversion: Conversion, prospect: Prospect) -> tuple[str, str]:
    """The meaning and the remedy of the state and reason, as they hold for this conversion now."""
    if prospect is Prospect.RECEIVED:
        return STANDINGS[State.ACCEPTED].meaning, "" if conversion.attribution else HOW_TO_KNOW
    if prospect is Prospect.OUT:
        return "Claimed by a push that is alive: its answer is awaited.", "Nothing."
    if prospect is Prospect.UNDECIDED:
        return "A request for it left, and its answer was lost or leaves it open.", "Send it again, or write it off."
    if conversion.forgotten_at is not None:
        return explained(State.WITHDRAWN, Reason.FORGOTTEN)
    recorded = _recorded_next(conversion, prospect)
    if recorded:
        return f"{explained(State.EXPIRED, recorded)[0]} The next run records it as {recorded}.", ""
    if prospect is Prospect.GOES_OUT and conversion.attempts_in_doubt:
        return (
            "An earlier request for it left, and its answer was lost or leaves it open; delivery.in_doubt is set to resend.",
            "Nothing; or write it off, if it must not be received twice.",
        )
    meaning, remedy = explained(conversion.state, conversion.reason or "")
    if prospect is Prospect.NEVER and conversion.state is not State.EXPIRED and conversion.reason != Reason.FORGOTTEN:
        remedy = _remedy_for_the_next(conversion.reason or "", remedy)
    return meaning, remedy


def _remedy_for_the_next(reason: str, remedy: str) -> str:
    """A remedy as it is worth something for others, where this conversion is too old for it."""
    is_of_one = reason in _OF_ONE_CONVERSION or not remedy
    return "Nothing: it is older than 2 days." if is_of_one else f"For the next ones: {remedy[0].lower()}{remedy[1:]}"


_OF_ONE_CONVERSION = frozenset({Reason.ECHO_MISMATCH, Reason.WRITTEN_OFF, Reason.TAKEN_BACK, Reason.NO_LONGER_IN_SOURCE})
"""Reasons whose remedy is about the conversion alone, while it is younger than 2 days."""
