"""The event as the API takes it: its identity and its body."""

import hashlib
import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

_EVENT_NAME = re.compile(r"[!-~]{1,40}")
_SAFE = re.compile(r"[A-Za-z0-9_.~-]+", re.ASCII)
_READABLE_LENGTH = 200


@lru_cache(maxsize=1_000)
def is_event_name(name: str) -> bool:
    """Whether Webflow takes the name: at most 40 printable ASCII characters, no space."""
    return _EVENT_NAME.fullmatch(name) is not None


def action_id(destination: str, source: str, event_name: str, conversion_id: str) -> str:
    """The ``actionId`` of a conversion: derived from its identity alone, one to one, readable.

    The four parts, percent-encoded and joined by ``/``; a long one ends in a hash instead.
    ``?`` never stands in an encoded part, so neither form can meet the other.
    """
    return _bounded(f"{_prefix(destination, source, event_name)}/{_encoded(conversion_id)}")


def source_prefix(destination: str, source: str) -> str:
    """What all action IDs of a source begin with; others only where it is so long that it is cut."""
    return f"{_encoded(destination)}/{_encoded(source)}/"[:_READABLE_LENGTH]


def stand_in_action_id(destination: str, source: str, event_name: str, row: str) -> str:
    """The key of a row without a conversion ID, from all that the row says: it is never sent, but accounted for."""
    digest = hashlib.sha256(row.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_bounded(_prefix(destination, source, event_name))}/?row={digest}"


@lru_cache(maxsize=1_000)
def _prefix(destination: str, source: str, event_name: str) -> str:
    return "/".join(_encoded(part) for part in (destination, source, event_name))


def _encoded(part: str) -> str:
    return part if _SAFE.fullmatch(part) else quote(part, safe="", errors="surrogatepass")


def _bounded(text: str) -> str:
    if len(text) <= _READABLE_LENGTH:
        return text
    return f"{text[:_READABLE_LENGTH]}?sha256={hashlib.sha256(text.encode()).hexdigest()}"


class Event(NamedTuple):
    """One conversion as it goes out. ``action_timestamp_ms`` is UTC; ``value`` has two places or is None."""

    event_name: str
    user_domain: str
    user_id: str
    action_id: str
    action_timestamp_ms: int
    value: Decimal | None = None

    def body(self, customer_id: str) -> bytes:
        """The JSON document to POST (docs/webflow-api.md, The request)."""
        value = "" if self.value is None else f',"value":{as_json_number(self.value)}'
        return (
            f'{{"customerId":{_quoted(customer_id)},"eventName":{_quoted(self.event_name)},'
            f'"userDomain":{_quoted(self.user_domain)},"userId":{_quoted(self.user_id)},'
            f'"actionId":{_quoted(self.action_id)},"actionTimestamp":{self.action_timestamp_ms}{value}}}'
        ).encode("ascii")

    @staticmethod
    def incomplete(customer_id: str) -> bytes:
        """A document that lacks all that makes a conversion: it can count for nobody."""
        return f'{{"customerId":{_quoted(customer_id)}}}'.encode("ascii")


_quoted = json.encoder.encode_basestring_ascii


def as_json_number(value: Decimal) -> str:
    """The number as the API reads it: ``149.99``, ``150``, ``0.5``."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def shortened(user_id: str) -> str:
    """A user ID of which only the beginning is left, for people."""
    return f"{user_id[: min(4, len(user_id) // 2)]}…"
