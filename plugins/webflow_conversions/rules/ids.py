"""IDs and keys as text: the same text for the same value from every warehouse, and why a value has none."""

import math
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.rules.text import LONGEST_TEXT, has_lost_digits, is_blank

_EXACT_BITS: dict[type[Any], int] = {np.float32: 24, np.float16: 11}
_EXACT_BITS_OF_A_DOUBLE = 53
"""Binary digits of floating-point numbers: below 2 to this power, a number of the type holds every whole number."""


def as_text(value: Any) -> str | None:
    """An ID as text, from any type that a driver returns; None for null, a blank text, NaN, and a value that is no ID.

    A number has neither an exponent nor zeros at the end of its fraction: ``1.50`` is ``1.5``, ``1E+3`` is ``1000``. A text of
    a number that lost its digits is no ID. Bytes are hexadecimal, a Boolean is ``true`` or ``false``. :func:`fault_of` tells
    why a value is no ID.
    """
    if isinstance(value, str):
        return None if is_blank(value) or has_lost_digits(value) else str(value)
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
    # Most texts begin with a sign that is seen, and hold none of a number that lost its digits.
    return [value if type(value) is str and "!" <= value < "\x7f" and "+" not in value else as_text(value) for value in values]


def fault_of(column: str, value: Any) -> str | None:
    """Why a value that has no text is no ID, as a sentence that names the cast; None for null, a blank text and NaN."""
    is_nothing = value is None or value is pd.NA or value is pd.NaT or isinstance(value, bytes | bytearray | memoryview)
    if is_nothing or as_text(value) is not None:
        return None
    if isinstance(value, str):
        if is_blank(value):
            return None
        return (
            f"{column} is a number in scientific notation, of which a spreadsheet or a program left only the first digits: "
            "return all of its digits"
        )
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
