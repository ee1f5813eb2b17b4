"""IDs and keys as text: the same text for the same value from every warehouse, and what text can be stored."""

import math
import re
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

LONGEST_TEXT = 500
"""Greatest length of a conversion ID or an identity key, in characters; a row with a longer text is rejected."""

_EXACT_BITS: dict[type[Any], int] = {np.float32: 24, np.float16: 11}
_EXACT_BITS_OF_A_DOUBLE = 53
"""Binary digits of floating-point numbers: below 2 to this power, a number of the type holds every whole number."""

PLACEHOLDERS = frozenset(
    {
        "undefined", "null", "none", "nil", "nan", "n/a", "0", "true", "false", "(not set)", "(none)", "(null)", "<null>",
        "[object object]", "{}", "[]", "anonymous", "guest", "not_authenticated", "unknown", "user_id", "userid", "distinct_id",
        "00000000-0000-0000-0000-000000000000",
    }
)  # fmt: skip
"""Texts that programs write in place of a missing user ID or domain, in lower case. Many visitors share each of them."""

_PLACEHOLDERS_OF_A_CONVERSION = (PLACEHOLDERS - {"0"}) | {"conversion_id"}
"""``0`` is a conversion ID: a table may count from it, and rows that share it are reported as conflicting."""

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")

is_plain = re.compile(rf"(?!.{{{LONGEST_TEXT + 1}}})(?:[0-9]+|[0-9_-]*[A-Za-z][0-9A-Za-z_-]*)").fullmatch
"""Whether a text is made of ASCII letters, digits, ``_`` and ``-`` alone, and has a letter if it has more than digits.

So are most IDs. Such a text can be stored, has nothing to encode in an ``actionId``, and is neither an e-mail address nor a phone
number: this one look takes the place of four. It may still be a placeholder.
"""


def as_text(value: Any) -> str | None:
    """An ID as text, from any type that a driver returns; None for null, a blank text, NaN, and a value that is no ID.

    A number has neither an exponent nor zeros at the end of its fraction: ``1.50`` is ``1.5``, ``1E+3`` is ``1000``. Bytes
    are hexadecimal, a Boolean is ``true`` or ``false``. :func:`fault_of` tells why a value is no ID.
    """
    if isinstance(value, str):
        return str(value) if value.strip() else None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return _digits(int(value))
    if isinstance(value, float | np.floating):
        return _of_float(value)
    if isinstance(value, Decimal):
        return _of_decimal(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex() or None
    if isinstance(value, uuid.UUID) or (isinstance(value, date) and not isinstance(value, datetime)):
        return str(value)
    return None


def texts_of(values: Iterable[Any]) -> list[str | None]:
    """:func:`as_text` of each value."""
    return [value if type(value) is str and value and not value.isspace() else as_text(value) for value in values]


def fault_of(column: str, value: Any) -> str | None:
    """Why a value that has no text is no ID, as a sentence that names the cast; None for null, a blank text and NaN."""
    if as_text(value) is not None or value is None or value is pd.NA or value is pd.NaT or isinstance(value, str | bytes):
        return None
    if isinstance(value, bytearray | memoryview):
        return None
    if isinstance(value, float | np.floating | Decimal):
        if np.isnan(value) if isinstance(value, float | np.floating) else value.is_nan():
            return None
        if isinstance(value, Decimal) or np.isinf(value):
            return f"{column} is a number that is infinite or too long: return text, or NULL"
        bits = _exact_bits(value)
        return (
            f"{column} is a floating-point number of 2^{bits} or more, which may have lost digits: store it as text or as an "
            f"integer, or return CAST({column} AS bigint) if its digits are right"
        )
    if isinstance(value, int | np.integer):
        return f"{column} is a number that is too long: return at most {LONGEST_TEXT} digits"
    return f"{column} is of type {type(value).__name__}, which has no text of its own: return CAST({column} AS text)"


def written(value: Any) -> str:
    """Any value as text for people, of which Python writes no whole number with more than 4,300 decimal digits."""
    return f"{value:#x}" if isinstance(value, int) and value.bit_length() > 4 * LONGEST_TEXT else str(value)


def _exact_bits(value: Any) -> int:
    return _EXACT_BITS.get(type(value), _EXACT_BITS_OF_A_DOUBLE)


def _digits(number: int) -> str | None:
    return str(number) if number.bit_length() <= 4 * LONGEST_TEXT else None


def _of_float(value: Any) -> str | None:
    if math.isnan(value) or math.isinf(value):
        return None
    if value == math.floor(value):
        return str(int(value)) if abs(value) < 2 ** _exact_bits(value) else None
    return _of_decimal(Decimal(str(value)))


def _of_decimal(value: Decimal) -> str | None:
    if not value.is_finite() or abs(value.adjusted()) > LONGEST_TEXT:
        return None
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def is_placeholder(text: str) -> bool:
    """Whether a user ID or domain stands for a missing one, whatever its case and the blanks around it."""
    return len(text) <= 40 and text.strip().lower() in PLACEHOLDERS


def is_placeholder_of_a_conversion(text: str) -> bool:
    """Whether a conversion ID stands for a missing one, so that it cannot tell conversions apart."""
    return len(text) <= 40 and text.strip().lower() in _PLACEHOLDERS_OF_A_CONVERSION


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text: no NUL, and no half of a surrogate pair, which a byte that is no text becomes."""
    return "\0" not in text if text.isascii() else _NOT_STORABLE.search(text) is None


def storable(text: str) -> str:
    """The text itself if the ledger can store it, else a shortened copy without the characters that cannot be stored."""
    if len(text) <= LONGEST_TEXT and is_storable(text):
        return text
    return _NOT_STORABLE.sub("\ufffd", text[:LONGEST_TEXT])
