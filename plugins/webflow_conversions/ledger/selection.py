"""What people ask the ledger for: which conversions, in which order, from which place on."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Self

from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.states import State

LONGEST_TEXT = 600
"""Characters of a text that is looked for."""
FARTHEST_PLACE = 2**57
"""Some 4,500 years in microseconds, on both sides of 1970: a moment that PostgreSQL's timestamps hold."""


class Only(StrEnum):
    """A filter of a list, beside its state."""

    IN_DOUBT = "in_doubt"
    SENT_AGAIN = "sent_again"
    CHANGED = "changed"


class Sort(StrEnum):
    """A column by which a list is put in order."""

    HAPPENED = "happened"
    VALUE = "value"
    STATE = "state"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order of a list. Conversions without a value in its column come last in both directions."""

    sort: Sort
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.sort}" if self.descending else str(self.sort)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of its text: ``value``, or ``-value`` for the largest first.

        :raises ValueError: for anything else.
        """
        return cls(sort=Sort(text.removeprefix("-")), descending=text.startswith("-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which conversions: those for which all of it holds; None is any. ``run`` is the number of a run that read them.

    ``reason`` is a code, or ``refused`` for every refusal by Webflow. ``attribution`` is the verdict on them,
    ``attribution_reason`` its reason. ``happened_from`` and ``happened_to`` are UTC days, both included, as are ``value_from``
    and ``value_to``.

    Only one of these makes sense: ``id``, the ledger's number of one; ``conversion``, a conversion ID or an action ID;
    ``written``, either of them as people write it (``rules/written.py``); ``begins``, the beginning of a conversion ID;
    ``user_of``, the number of a conversion of their user; ``key_of``, the number of one with their identity key.
    """

    id: int | None = None
    state: State | None = None
    reason: str | None = None
    source: str | None = None
    run: int | None = None
    only: Only | None = None
    user_of: int | None = None
    key_of: int | None = None
    conversion: str | None = None
    written: str | None = None
    begins: str | None = None
    attribution: Attribution | None = None
    attribution_reason: str | None = None
    happened_from: date | None = None
    happened_to: date | None = None
    value_from: Decimal | None = None
    value_to: Decimal | None = None

    def query(self) -> dict[str, str]:
        """As the page's query parameters."""
        return {name: str(value) for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page ended, in the order of its list; in another order than its own, how many conversions came before."""

    place: int
    id: int

    def __str__(self) -> str:
        return f"{self.place}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of its text.

        :raises ValueError: for anything else.
        """
        place, _, identifier = text.partition(".")
        found = cls(place=int(place), id=int(identifier))
        if abs(found.place) >= FARTHEST_PLACE or abs(found.id) >= 2**63:
            raise ValueError(f"{text} is no place")
        return found
