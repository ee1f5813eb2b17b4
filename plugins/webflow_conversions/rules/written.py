"""How people write an ID that they look for: pasted with quotes or as a link, with ``#`` or *No.* before it, in another case."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from webflow_conversions.rules.text import LONGEST_TEXT

MOST_FORMS = 100
"""Forms of one text that are looked up."""
MOST_DIGITS = 12
"""Zeros are put before a number up to this length."""

_AROUND = " \t\r\n\u00a0\u200b\ufeff'\"`´‘’‚“”„«»‹›<>()[]{}*,;:.!?"  # noqa: RUF001
_WORDS = "order|sale|deal|invoice|number|num|no|nr|id|bestellung|auftrag|rechnung|nummer|commande|pedido|ordine"
_BEFORE = re.compile(rf"(?:(?:{_WORDS})\b|[#№])[\s.:=#-]*", re.IGNORECASE)
_NUMBER_AT_THE_END = re.compile(r"(.*?)(\d{1,12})", re.DOTALL)
_DIGIT = re.compile(r"\d")
_BLANKS = re.compile(r"[\s\u00a0\u200b\ufeff]+")


def written_forms(text: str) -> list[str]:
    """The IDs that a text may stand for, the most likely first; at most ``MOST_FORMS``, the text itself among them.

    Nothing is guessed but the form: the letters and digits stay those of the text, and their order, too. Only zeros before a
    number come and go.
    """
    found: dict[str, None] = {text: None}
    if len(text) > LONGEST_TEXT:
        return [text]
    bases = dict.fromkeys(base for part in _parts(text) for base in _bare(part))
    steps = (_with_cases, _with_hash, _with_zeros, lambda base: _with_cases(f"#{base}"), _with_cases_and_zeros)
    for step in steps:
        for base in bases:
            found.update(dict.fromkeys(step(base)))
    return [form for form in found if form.strip()][:MOST_FORMS]


def unquoted(text: str) -> str:
    """The text without the quotes, brackets, blanks and full stops around it."""
    return text.strip(_AROUND)


def _parts(text: str) -> Iterator[str]:
    """The text; of a link, the parts of its path and query that have a digit, the last part of the path first."""
    stripped = unquoted(text)
    if not re.match(r"https?://", stripped, re.IGNORECASE):
        yield stripped
        return
    try:
        link = urlsplit(stripped)
    except ValueError:
        yield stripped
        return
    segments = [unquote(segment) for segment in reversed(f"{link.path}/{link.fragment}".split("/"))]
    values = [value for _, value in parse_qsl(link.query)]
    yield from [part for part in (*segments, *values) if len(part) > 1 and _DIGIT.search(part)][:3]


def _bare(text: str) -> Iterator[str]:
    """The text without what people write around and before an ID, with its blanks and without."""
    for form in dict.fromkeys((_without_words(text), text)):
        clean = unquoted(form)
        if clean:
            yield clean
            yield from (_BLANKS.sub(sign, clean) for sign in ("", "-", " "))


def _without_words(text: str) -> str:
    while found := _BEFORE.match(text):
        text = text[found.end() :]
    return text


def _with_cases(text: str) -> Iterable[str]:
    return (text, text.upper(), text.lower(), text.title(), text.capitalize())


def _with_hash(text: str) -> Iterable[str]:
    return (f"#{text}",)


def _with_zeros(text: str) -> Iterator[str]:
    """The number at the end without zeros before it, and with 1, 2, … of them."""
    found = _NUMBER_AT_THE_END.fullmatch(text)
    if found is None:
        return
    bare = found[2].lstrip("0") or "0"
    yield f"{found[1]}{bare}"
    yield from (f"{found[1]}{bare.zfill(length)}" for length in range(len(bare) + 1, MOST_DIGITS + 1))


def _with_cases_and_zeros(text: str) -> Iterator[str]:
    for form in _with_cases(text):
        yield from _with_zeros(form)
