"""Events as Webflow's contract defines them (docs/webflow-api.md, The request)."""

import json
import re
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

LONGEST_AGE_MS = 48 * 60 * 60 * 1000
"""Milliseconds, two days: Webflow may ignore an older conversion (docs/webflow-api.md, What is ignored)."""

_EVENT_NAME = re.compile(r"[!-~]{1,40}")
_LATEST_MS = 8_640_000_000_000_000
"""Last moment of a JavaScript date, in milliseconds."""


class Malformed(Exception):
    """A body is no event; the message is the reason in one sentence."""


class Event(NamedTuple):
    """A well-formed event. ``value`` is a decimal number as text, without an exponent."""

    event_name: str
    action_id: str
    action_timestamp_ms: int
    value: str | None


def parse_event(body: bytes, customer_id: str) -> Event:
    """Parse the event of a body; unknown fields are ignored.

    :raises Malformed: a required field is missing or wrong, or the body is no JSON object.
    """
    try:
        fields = _JSON.decode(body.decode())
    except (ValueError, ArithmeticError, RecursionError):
        raise Malformed("The body must be JSON.") from None
    if type(fields) is not dict:
        raise Malformed("The body must be a JSON object.")
    if _text(fields, "customerId") != customer_id:
        raise Malformed("customerId is not this account's.")
    event_name = _text(fields, "eventName")
    if not _EVENT_NAME.fullmatch(event_name):
        raise Malformed("eventName must have 1 to 40 printable ASCII characters and no space.")
    _text(fields, "userDomain")
    _text(fields, "userId")
    return Event(event_name, _text(fields, "actionId"), _moment(fields), _value(fields) if "value" in fields else None)


def ignored_because(action_timestamp_ms: int, now_ms: int) -> str | None:
    """Reason why Webflow may ignore an event that it received at ``now_ms``; None for an event that counts."""
    if action_timestamp_ms > now_ms:
        return "in_the_future"
    if now_ms - action_timestamp_ms > LONGEST_AGE_MS:
        return "older_than_2_days"
    return None


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_JSON = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)


def _text(fields: dict[str, Any], name: str) -> str:
    text = fields.get(name)
    if type(text) is not str or not text:
        raise Malformed(f"{name} must be a string that is not empty." if name in fields else f"{name} is missing.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Malformed(f"{name} must be Unicode text, without half a surrogate pair.") from None
    return text


def _moment(fields: dict[str, Any]) -> int:
    number = fields.get("actionTimestamp")
    if (
        isinstance(number, int | Decimal)
        and not isinstance(number, bool)
        and -_LATEST_MS <= number <= _LATEST_MS
        and number == int(number)
    ):
        return int(number)
    if "actionTimestamp" not in fields:
        raise Malformed("actionTimestamp is missing.")
    raise Malformed("actionTimestamp must be a whole number, UNIX time in milliseconds.")


def _value(fields: dict[str, Any]) -> str:
    number = fields["value"]
    if type(number) is int and 0 <= number < 10**300:
        return str(number)
    if type(number) is Decimal and number >= 0 and number.adjusted() < 300 and _places(number) <= 2:
        return f"{number:f}" if number else "0"
    raise Malformed("value must be a number that is not negative, with at most two decimals.")


def _places(number: Decimal) -> int:
    """Number of decimal places, without zeros at the end."""
    digits, exponent = number.as_tuple()[1:]
    if not isinstance(exponent, int) or not any(digits):
        return 0
    return -exponent - (len(digits) - len("".join(map(str, digits)).rstrip("0")))
