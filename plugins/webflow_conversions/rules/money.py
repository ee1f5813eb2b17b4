"""The value of a conversion: Decimal all the way, at most two places, half up.

The API takes a number that is not negative, with two decimals at most and no currency sign
(docs/webflow-api.md, Event names and values).
"""

import re
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.text import written

_PLAIN = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_CENTS = re.compile(r"\d{1,13}(?:\.\d{1,2})?", re.ASCII)
_CENT = Decimal("0.01")
_WIDE = Context(prec=1_500, rounding=ROUND_HALF_UP)

LIMIT = Decimal(10**13)
"""Values of this size and above are refused: most JSON readers use a double, which cannot hold their cents exactly."""


def parse_value(given: Any) -> tuple[Decimal | None, Reason | None]:
    """The value with at most two places, half up, or the reason for its rejection; null gives (None, None), NaN is an error.

    :param given: Decimal, int, float (by its shortest decimal form) or text of a plain number.
    """
    if isinstance(given, str) and _CENTS.fullmatch(given):
        return Decimal(given), None
    if given is None or given is pd.NA or given is pd.NaT:
        return None, None
    if isinstance(given, str):
        text = given.strip()
    elif isinstance(given, Decimal | int | float | np.integer | np.floating) and not isinstance(given, bool):
        text = written(given)
    else:
        return None, Reason.INVALID_VALUE
    if not _PLAIN.fullmatch(text):
        return None, None if text == "" else Reason.INVALID_VALUE
    with localcontext(_WIDE):
        exact = Decimal(text)
        if exact < 0:
            return None, Reason.NEGATIVE_VALUE
        if exact >= LIMIT:
            return None, Reason.INVALID_VALUE
        rounded = abs(exact.quantize(_CENT))  # a negative zero is zero
    return (rounded, None) if rounded < LIMIT else (None, Reason.INVALID_VALUE)
