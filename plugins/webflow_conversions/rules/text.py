"""Text of IDs, keys and users: what can be stored, what stands for a missing ID, how else a key may be written."""

import re
from typing import Any
from unicodedata import category

LONGEST_TEXT = 500
"""Greatest length of a conversion ID or an identity key, in characters; a row with a longer text is rejected."""

NOTHING = frozenset(
    {
        "undefined", "null", "none", "nil", "nan", "n/a", "n.a.", "(not set)", "(none)", "(null)", "<null>", "(empty)", "(blank)",
        "(unknown)", "[object object]", "{}", "[]", "''", '""', "-", "--", "#n/a", "#ref!", "#value!", "#name?",
        "#null!", "#num!", "#div/0!",
    }
)  # fmt: skip
"""Texts that programs write in place of a missing value, in lower case; those with # are a spreadsheet's errors."""

PLACEHOLDERS = NOTHING | frozenset(
    {
        "0", "true", "false", "anonymous", "guest", "not_authenticated", "unknown", "user_id", "userid", "distinct_id",
        "distinctid", "00000000-0000-0000-0000-000000000000",
    }
)  # fmt: skip
"""Texts that programs write in place of a missing user ID or domain, in lower case. Many visitors share each of them."""

_TEMPLATE = re.compile(r"\{\{.*\}\}|\{%.*%\}|[$#]\{.*\}|<%.*%>|%%.*%%|\[\[.*\]\]", re.DOTALL)
"""A place in a template that nobody filled in: ``{{ user.id }}``, ``${userId}``, ``<%= id %>``."""

PLACEHOLDERS_OF_A_CONVERSION = (PLACEHOLDERS - {"0"}) | {"conversion_id"}
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


def is_blank(text: str) -> bool:
    """Whether nothing of the text can be seen: no character, blanks, or such as a byte order mark and the width of zero."""
    return not text.strip() or (not text.isascii() and all(one.isspace() or category(one) == "Cf" for one in text))


def has_lost_digits(text: str) -> bool:
    """Whether a text is a whole number of which only the first digits are left: ``1.79547E+12``, as spreadsheets write it."""
    found = _SHORTENED.fullmatch(text.strip()) if "+" in text else None
    return found is not None and int(found["exponent"]) > len(found["decimals"] or "")


_SHORTENED = re.compile(r"[+-]?\d(?:[.,](?P<decimals>\d+))?[eE]\+(?P<exponent>\d{2,3})", re.ASCII)


def stands_for_nothing(text: str, words: frozenset[str] = NOTHING) -> bool:
    """Whether a text is one of the words for a missing value, whatever its case, or a place in a template."""
    bare = text.strip()
    return len(bare) <= 100 and (bare.lower() in words or (bare[-1:] in "}>%]" and _TEMPLATE.fullmatch(bare) is not None))


def is_placeholder(text: str) -> bool:
    """Whether a user ID or domain stands for a missing one, whatever its case and the blanks around it."""
    return stands_for_nothing(text, PLACEHOLDERS)


def is_placeholder_of_a_conversion(text: str) -> bool:
    """Whether a conversion ID stands for a missing one, so that it cannot tell conversions apart."""
    return stands_for_nothing(text, PLACEHOLDERS_OF_A_CONVERSION)


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
