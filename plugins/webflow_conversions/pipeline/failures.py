"""Why a task of a run failed: in its own sentence, as the ledger keeps it and everybody is told it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from webflow_conversions.errors import ConversionsError, Unfinished, database_words, described

_NO_RIGHT = "42501"
"""PostgreSQL's code of insufficient privilege; a warehouse's errors are told by its reader."""

MOST_CHARACTERS = 2_000
"""A sentence is cut off after so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last try of a task that failed, and has not succeeded since.

    ``map_index`` is -1 for a task that is not mapped; ``source`` or ``destination`` is what it was about, where it was about
    one. ``error`` is the name of the exception's class, ``sentence`` says what is wrong and what to change.
    """

    task: str
    map_index: int = -1
    source: str = ""
    destination: str = ""
    error: str
    sentence: str
    at: datetime
    try_number: int
    is_last_try: bool

    @property
    def key(self) -> str:
        """Which task of the run it is of."""
        return key_of(self.task, self.map_index)

    @property
    def cause(self) -> str:
        """The sentence with the task before it, without a full stop: ``extract of shop: The warehouse refuses …``."""
        about = f" of {self.source}" if self.source else f" to {self.destination}" if self.destination else ""
        return f"{self.task}{about}: {self.sentence.rstrip('.')}"

    @property
    def is_verdict(self) -> bool:
        """Whether the task failed to say what the run's verdict says."""
        return self.error == Unfinished.__name__

    def to_json(self) -> dict[str, Any]:
        """For the run's record and an XCom."""
        return {
            "task": self.task,
            "map_index": self.map_index,
            "source": self.source,
            "destination": self.destination,
            "error": self.error,
            "sentence": self.sentence,
            "at": self.at.isoformat(),
            "try_number": self.try_number,
            "is_last_try": self.is_last_try,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a run's record or an XCom."""
        return cls(**{**document, "at": datetime.fromisoformat(document["at"])})


def key_of(task: str, map_index: int | None) -> str:
    """The name of a task, with the number of a mapped one."""
    return task if map_index is None or map_index < 0 else f"{task}[{map_index}]"


def failures_of(document: Mapping[str, Mapping[str, Any]]) -> list[Failure]:
    """Out of ``webflow.runs.failures``, in the order in which they happened."""
    return sorted((Failure.from_json(one) for one in document.values()), key=lambda failure: failure.at)


def sentence_of(error: BaseException) -> str:
    """What people are told of an error: its own sentence, or of one that is not ours what holds no value of a row."""
    if isinstance(error, ConversionsError):
        return str(error)[:MOST_CHARACTERS]
    if getattr(error, "pgcode", None) == _NO_RIGHT:
        said = database_words(error)
        return f"The role of the ledger's connection may not do this ({said}): let the owner grant it."[:MOST_CHARACTERS]
    return f"Something unexpected happened: {described(error)}."[:MOST_CHARACTERS]


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The errors behind an error, the nearest first."""
    behind = _behind(error)
    seen = {id(error)}
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        yield behind
        behind = _behind(behind)


def _behind(error: BaseException) -> BaseException | None:
    """The error from which this one was raised; None where it was raised ``from None``: that one may hold values of rows."""
    return error.__cause__ if error.__suppress_context__ else error.__context__
