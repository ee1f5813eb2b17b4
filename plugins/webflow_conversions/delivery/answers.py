"""What comes back from one request: its status, its body, or how the exchange broke."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from html import unescape
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

_JSON_ESCAPES = re.compile(r'(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+')


class Trouble(StrEnum):
    """How an exchange broke, apart from what the API said."""

    UNSENT = "unsent"
    """No byte of the request left: refused, no such host, no TLS, no connection in time."""
    WITHHELD = "withheld"
    """No byte of the request left: when its connection was ready, it was not allowed to leave any more."""
    UNTRUSTED = "untrusted"
    """No byte of the request left, because the other side could not prove who it is."""
    LOST = "lost"
    """The request left, or part of it, and no whole answer came."""
    TOO_LARGE = "too_large"
    """The answer was larger than any echo, and was not read to its end."""

    @property
    def is_before_the_request(self) -> bool:
        """Whether no byte of the request left."""
        return self in (Trouble.UNSENT, Trouble.WITHHELD, Trouble.UNTRUSTED)


class Answer(NamedTuple):
    """How one request ended.

    ``status``: None if no answer began. ``retry_after``: the header as it came. ``detail``: for people.
    ``seconds``: from the start of the request to its end.
    """

    status: int | None = None
    body: bytes = b""
    retry_after: str | None = None
    trouble: Trouble | None = None
    detail: str = ""
    seconds: float = 0.0


LONGEST_RETRY_AFTER = 3_600.0
"""Seconds. A longer ``Retry-After`` counts as this: one absurd header must not stop tomorrow's run."""


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


def excerpt(body: bytes, secrets: Iterable[str]) -> str | None:
    """The beginning of what the API said, for people; None if it is unreadable, or repeats a secret in any writing of the web."""
    text = body.decode("utf-8", "replace").replace("\x00", "\ufffd")
    try:
        read = [one.casefold() for one in (text, unquote_plus(text), unquote(text), unescape(text), _from_json(text))]
    except ValueError:  # a number of thousands of digits
        return None
    told = ("userId", "Authorization", "ApiKey", *filter(None, secrets))
    if any(one.casefold() in each for one in told for each in read):
        return None
    return text[:200].strip() or None


def _from_json(text: str) -> str:
    """The text with JSON's escapes taken for what they mean."""
    return _JSON_ESCAPES.sub(lambda found: str(json.loads(f'"{found[0]}"')), text)
