"""What an answer of the API means for the conversion. ``docs/delivery.md`` has the table for people."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from webflow_conversions.rules.event import is_echo


class Trouble(StrEnum):
    """What kept an exchange from ending well, apart from what the API said."""

    UNSENT = "unsent"
    """No byte of the request left: refused, no such host, no TLS, no connection in time."""
    WITHHELD = "withheld"
    """No byte of the request left: by the time its connection was there, it was not to leave any more."""
    UNTRUSTED = "untrusted"
    """No byte of the request left, because the other side could not prove who it is."""
    LOST = "lost"
    """The request left, or part of it, and no whole answer came."""
    TOO_LARGE = "too_large"
    """The answer was larger than any echo can be, and was not read."""

    @property
    def is_before_the_request(self) -> bool:
        """Whether no byte of the request left."""
        return self in (Trouble.UNSENT, Trouble.WITHHELD, Trouble.UNTRUSTED)


class Answer(NamedTuple):
    """How one request ended.

    ``status`` is None if no answer began; ``retry_after`` is the header as it came; ``detail`` is for people.
    ``seconds`` is the time from the start of the request to its end.
    """

    status: int | None = None
    body: bytes = b""
    retry_after: str | None = None
    trouble: Trouble | None = None
    detail: str = ""
    seconds: float = 0.0


class Outcome(Enum):
    """What follows for the conversion."""

    ACCEPTED = auto()
    """The API has it: 200, and the body is our data."""
    MISMATCHED = auto()
    """A success whose body is not our data: it may have been received, and is not sent again."""
    REFUSED = auto()
    """The API refuses this event for good."""
    MISROUTED = auto()
    """Something that is not the API answered, whatever the event: it goes out later, unless nothing else is accepted either."""
    LATER = auto()
    """The API did not take it now: everybody slows down, and it goes out later."""
    UNSENT = auto()
    """It never left."""
    WITHHELD = auto()
    """It was not to leave any more; it takes its turn again."""
    IN_DOUBT = auto()
    """It may have been received."""
    STOP = auto()
    """It would be the same for every conversion: the push ends, and this one keeps waiting."""


def classify(sent: bytes, answer: Answer) -> Outcome:
    """The outcome of a request; total, and doubt is one of its answers."""
    match answer.trouble:
        case Trouble.UNSENT:
            return Outcome.UNSENT
        case Trouble.WITHHELD:
            return Outcome.WITHHELD
        case Trouble.UNTRUSTED:
            return Outcome.STOP
        case Trouble.TOO_LARGE if answer.status == 200:
            return Outcome.MISMATCHED
        case Trouble.LOST if answer.status is None or answer.status < 300:
            return Outcome.IN_DOUBT
    match answer.status:
        case None:
            return Outcome.IN_DOUBT
        case 200:
            return Outcome.ACCEPTED if is_echo(sent, answer.body) else Outcome.MISMATCHED
        case 401 | 403:
            return Outcome.STOP
        case 408 | 425 | 429 | 503:
            return Outcome.LATER
        case status if 200 < status < 300:
            return Outcome.MISMATCHED
        case status if status >= 500:
            return Outcome.IN_DOUBT
        case 405 | 407 | 421 | 426:
            return Outcome.MISROUTED
        case status if status < 400:
            return Outcome.MISROUTED
        case _:
            return Outcome.REFUSED


LONGEST_RETRY_AFTER = 3_600.0
"""Seconds; what asks for more is taken as this, so that one absurd header cannot stop tomorrow's run."""


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """The delay that ``Retry-After`` asks for: seconds or a date (RFC 9110, 10.2.3); None for none and for nonsense."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:20])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return min(seconds, LONGEST_RETRY_AFTER) if seconds > 0 else None
