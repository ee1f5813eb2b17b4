"""Whether an answer is the echo of the event that was sent: the only proof that the API has it.

The API answers with the data that was submitted (docs/webflow-api.md, The response). What proves it is the ``actionId``,
unless the answer says that it failed; other differences are reported, since a proxy or a new version of the API may write the
same data in another form.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum, auto

from webflow_conversions.delivery.answers import Answer

SIMILAR_FIELDS = 2
"""An answer with this number of our fields speaks of our event, though not by its actionId."""


_ERRORS = ("error", "errors")
_SUCCESSES = ("success", "ok", "accepted")
_STATUSES = ("status", "statusCode", "code")
_FAILURES = frozenset({"error", "fail", "failed", "failure", "invalid", "rejected", "refused"})
_FAILED_STATUS = re.compile(r"[45]\d\d", re.ASCII)
"""The fields and words by which an answer says that it failed, whatever its HTTP status."""


class Likeness(Enum):
    """How like the echo an answer is."""

    ECHO = auto()
    SIMILAR = auto()
    """A JSON object with fields of the event and without its actionId, or with it and the word that it failed."""
    FOREIGN = auto()


def likeness(sent: bytes, answer: Answer) -> Likeness:
    """How like the echo of this event the answer is."""
    if answer.body == sent:
        return Likeness.ECHO
    theirs = answer.json_object()
    if theirs is None:
        return Likeness.FOREIGN
    ours = json.loads(sent, parse_float=Decimal, parse_int=Decimal)
    if _find(ours, theirs) is not None:
        return Likeness.SIMILAR if any(_says_it_failed(each) for each in _objects(theirs)) else Likeness.ECHO
    told = max(sum(_text(each.get(name)) == _text(value) for name, value in ours.items()) for each in _objects(theirs))
    return Likeness.SIMILAR if told >= SIMILAR_FIELDS else Likeness.FOREIGN


def differences(sent: bytes, answer: Answer) -> list[str]:
    """The fields of the event that its echo lacks, or has in another form or with another value."""
    ours = json.loads(sent, parse_float=Decimal, parse_int=Decimal)
    theirs = _find(ours, answer.json_object() or {}) or {}
    return [name for name, value in ours.items() if type(theirs.get(name)) is not type(value) or theirs[name] != value]


def _find(ours: Mapping[str, object], theirs: Mapping[str, object]) -> Mapping[str, object] | None:
    """The object with the actionId of our event: the document itself, or one in an envelope."""
    return next((each for each in _objects(theirs) if _text(each.get("actionId")) == _text(ours["actionId"])), None)


def _objects(document: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield document
    yield from (inner for inner in document.values() if isinstance(inner, dict))


def _says_it_failed(document: Mapping[str, object]) -> bool:
    """Whether an object says that the event was not taken: an error, no success, or a status of failure."""
    if any(document.get(name) for name in _ERRORS) or any(document.get(name) is False for name in _SUCCESSES):
        return True
    statuses = [(_text(document.get(name)) or "").strip().lower() for name in _STATUSES]
    return any(status in _FAILURES or _FAILED_STATUS.fullmatch(status) for status in statuses)


def _text(value: object) -> str | None:
    """A text or a number as text; None for anything else."""
    return str(value) if isinstance(value, (str, Decimal)) else None
