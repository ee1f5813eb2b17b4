"""The event that the API receives: its ``actionId`` and its body."""

import hashlib
import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from webflow_conversions.rules.personal_data import has_email

_EVENT_NAME = re.compile(r"[!-~]{1,40}")
_SAFE = re.compile(r"[A-Za-z0-9_.~-]+", re.ASCII)
_READABLE_LENGTH = 200


@lru_cache(maxsize=1_000)
def is_event_name(name: str) -> bool:
    """Whether Webflow accepts the name: at most 40 printable ASCII characters, no space, no e-mail address."""
    return _EVENT_NAME.fullmatch(name) is not None and not has_email(name)


def action_id(destination: str, source: str, event_name: str, conversion_id: str) -> str:
    """The ``actionId`` of a conversion: readable, and derived one to one from the identity of the conversion alone.

    The four parts are percent-encoded and joined by ``/``; a long ``actionId`` is cut and ends in ``?`` and a hash.
    No encoded part contains ``?``, so a short and a long ``actionId`` are never equal.
    """
    return _bounded(f"{_prefix(destination, source, event_name)}/{_encoded(conversion_id)}")


def source_prefix(destination: str, source: str) -> str:
    """The common beginning of all action IDs of a source; if it is cut for length, other sources may share it."""
    return f"{_encoded(destination)}/{_encoded(source)}/"[:_READABLE_LENGTH]


def stand_in_action_id(destination: str, source: str, event_name: str, row: str) -> str:
    """The ledger key of a row without a conversion ID, from the whole content of the row. Such a row is counted, never sent."""
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
    """One conversion to send. ``action_timestamp_ms`` is UTC; ``value`` has two places or is None."""

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
        """A document with the customer ID alone: Webflow cannot attribute it to any visitor."""
        return f'{{"customerId":{_quoted(customer_id)}}}'.encode("ascii")


_quoted = json.encoder.encode_basestring_ascii


def as_json_number(value: Decimal) -> str:
    """The number in the form that the API takes: ``149.99``, ``150``, ``0.5``."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def shortened(user_id: str) -> str:
    """The beginning of a user ID, to show to people."""
    return f"{user_id[: min(4, len(user_id) // 2)]}…"
