"""Text of IDs, keys and users: what can be stored, what stands for a missing ID, how else a key may be written."""

import re
from typing import Any

LONGEST_TEXT = 500
"""Greatest length of a conversion ID or an identity key, in characters; a row with a longer text is rejected."""

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


def written(value: Any) -> str:
    """Any value as text for people, of which Python writes no whole number with more than 4,300 decimal digits."""
    return f"{value:#x}" if isinstance(value, int) and value.bit_length() > 4 * LONGEST_TEXT else str(value)


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


def variants(key: str) -> set[str]:
    """Other ways to write an identity key, as the two sides of a join often differ: case, blanks, zeros before, ``.0`` behind."""
    bare = key.strip()
    whole = bare.removesuffix(".0")
    written = {bare, f"{bare} ", whole, f"{whole}.0", whole.lstrip("0")}
    return {form for text in written for form in (text, text.lower(), text.upper()) if form.strip()} - {key}
