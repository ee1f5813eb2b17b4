"""What comes back from one request: its status, its body, or how the exchange broke; and who answered."""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
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

    ``status``: None if no answer began. ``headers``: lines as they came. ``detail``: for people.
    ``seconds``: from the start of the request to its end.
    """

    status: int | None = None
    body: bytes = b""
    headers: Sequence[bytes] = ()
    trouble: Trouble | None = None
    detail: str = ""
    seconds: float = 0.0

    def header(self, name: bytes) -> str | None:
        """The value of the header with this name, in lower case; None if there is none."""
        for line in reversed(self.headers):
            key, _, value = line.partition(b":")
            if key.strip().lower() == name:
                return value.strip().decode("latin-1")
            if line.startswith(b"HTTP/"):  # before it come an interim answer, or that of a proxy
                return None
        return None

    def json_object(self) -> dict[str, object] | None:
        """The body as a JSON object, its numbers as decimals; None if it is none."""
        body = self.content
        if not body:
            return None
        try:
            found = json.loads(_text(body), parse_float=Decimal, parse_int=Decimal)
        except (ValueError, ArithmeticError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def without(self, word: str) -> "Answer":
        """The answer with "…" in place of a word, in its body and its headers, wherever it is to the letter."""
        body = self.content
        if body is None or word.encode() not in b"".join((body, *self.headers)):
            return self
        headers = [
            line.replace(word.encode(), "…".encode())
            for line in self.headers
            if not line.lower().startswith(b"content-encoding:")
        ]
        return self._replace(body=body.replace(word.encode(), "…".encode()), headers=headers)

    @property
    def content(self) -> bytes | None:
        """The body without its content coding (RFC 9110, 8.4); None if it cannot be decoded, or is too large then."""
        coding = (self.header(b"content-encoding") or "").lower()
        if coding in ("", "identity"):
            return self.body
        if coding in ("gzip", "x-gzip"):
            return _inflated(self.body, zlib.MAX_WBITS | 16)
        if coding == "deflate":  # zlib's format, though some send it without its header
            return _inflated(self.body, zlib.MAX_WBITS) or _inflated(self.body, -zlib.MAX_WBITS)
        return None

    @property
    def is_foreign(self) -> bool:
        """Whether the body shows that another server than the API answered: it is neither empty nor a JSON object."""
        return bool(self.body.strip()) and self.json_object() is None

    @property
    def is_page(self) -> bool:
        """Whether the body is a page for a browser: markup, or called HTML. So write proxies, filters and portals."""
        is_html = "html" in (self.header(b"content-type") or "").lower()
        return self.is_foreign and (is_html or _text(self.content or b"").lstrip("\ufeff \t\r\n").startswith("<"))


LARGEST_DECODED = 256 * 1024
"""Bytes. A compressed body that is larger when it is decoded is not read."""
_READ_FOR_WORDS = 4 * 1024
_LONGEST_WORDS, _LONGEST_HEADER = 200, 80
_MARKUP = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>|<[^<>]*>", re.DOTALL | re.IGNORECASE)

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
    return None if _repeats(text, secrets) else text[:_LONGEST_WORDS].strip() or None


def with_status(status: int | str | None, words: str | None) -> str:
    """An HTTP status and what was said with it: ``HTTP 402 “Payment required”``; the status alone where nothing more is known."""
    name = f"HTTP {status}"
    return f"{name} “{words}”" if words and words != name else name


def who_answered(answer: Answer, secrets: Iterable[str]) -> str:
    """Who answered, and its first words: ``HTTP 200, text/html, Server: nginx, Via: 1.1 squid: “Please log in”``."""
    told = tuple(secrets)
    facts = [f"HTTP {answer.status}"]
    for label, name in (("", b"content-type"), ("Server: ", b"server"), ("Via: ", b"via")):
        value = _printable(answer.header(name) or "")[:_LONGEST_HEADER]
        if value and not _repeats(value, told):
            facts.append(label + value)
    if answer.content is None:  # nobody can read its words
        facts.append(f"Content-Encoding: {_printable(answer.header(b'content-encoding') or '')[:_LONGEST_HEADER]}")
    words = _first_words(answer, told)
    return ", ".join(facts) + (f": {words}" if words else "") + (f" ({answer.detail})" if answer.detail else "")


def _first_words(answer: Answer, secrets: Sequence[str]) -> str:
    """The beginning of the body without markup and secrets; of a JSON object that has them, the names of its fields."""
    text = _text(answer.content or b"")[:_READ_FOR_WORDS]
    if not _repeats(text, secrets):
        words = _printable(unescape(_MARKUP.sub(" ", text)))
        if not _repeats(words, secrets) and not _repeats(words.replace(" ", ""), secrets):
            return f"“{words[:_LONGEST_WORDS].strip()}”" if words else ""
    names = _printable(", ".join(answer.json_object() or ()))[:_LONGEST_WORDS]
    return "" if not names or _repeats(names, secrets, also=()) else f"JSON with {names}"


def _printable(text: str) -> str:
    """The text in one line, without characters that cannot be printed."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _inflated(body: bytes, window_bits: int) -> bytes | None:
    inflating = zlib.decompressobj(window_bits)
    try:
        decoded = inflating.decompress(body, LARGEST_DECODED)
    except zlib.error:
        return None
    return decoded if inflating.eof else None


def _text(body: bytes) -> str:
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _repeats(text: str, secrets: Iterable[str], also: Sequence[str] = ("userId", "Authorization", "ApiKey")) -> bool:
    """Whether a text holds a secret, or a word beside which one stands, in any writing of the web, or cannot be read."""
    try:
        read = [one.casefold() for one in (text, unquote_plus(text), unquote(text), unescape(text), _from_json(text))]
    except ValueError:  # a number of thousands of digits
        return True
    told = (*also, *filter(None, secrets))
    return any(one.casefold() in each for one in told for each in read)


def _from_json(text: str) -> str:
    """The text with JSON's escapes taken for what they mean."""
    return _JSON_ESCAPES.sub(lambda found: str(json.loads(f'"{found[0]}"')), text)
