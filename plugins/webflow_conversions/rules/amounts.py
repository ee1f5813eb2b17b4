"""Numbers of rows and the money in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True, kw_only=True)
class Amount:
    """A number of rows and the money in them."""

    rows: int = 0
    value: Decimal = Decimal(0)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(rows=self.rows + other.rows, value=self.value + other.value)

    def __neg__(self) -> "Amount":
        return Amount(rows=-self.rows, value=-self.value)

    def __sub__(self, other: "Amount") -> "Amount":
        return self + -other

    def __str__(self) -> str:
        return f"{self.rows:,} conversion{'' if self.rows == 1 else 's'} ({self.value:,.2f})"

    def to_json(self) -> dict[str, Any]:
        """For a record, with its money as text, exactly."""
        return {"rows": self.rows, "value": str(self.value)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Amount":
        """Out of a record."""
        return cls(rows=document["rows"], value=Decimal(document["value"]))

    @classmethod
    def of_row(cls, row: object, prefix: str = "") -> "Amount":
        """The amount in the columns ``<prefix>rows`` and ``<prefix>value`` of a database row."""
        return cls(rows=getattr(row, f"{prefix}rows"), value=getattr(row, f"{prefix}value"))

    @classmethod
    def of(cls, values: Iterable[Decimal | None]) -> "Amount":
        """The amount of rows with these values."""
        listed = list(values)
        return cls(rows=len(listed), value=sum((value for value in listed if value is not None), Decimal(0)))


@dataclass(slots=True, kw_only=True)
class Tally:
    """The rows that a source's query returned, by what extraction did with each; ``read`` is the sum of the other fields.

    ``recorded``: conversions that go to the ledger, each once. ``duplicates``: rows with the same content as a recorded
    row. ``conflicting``: rows with the conversion ID of a recorded row and other content. ``outside``: rows that may be
    sent, but not in this run's window. ``too_old``: rows older than 30 days.
    """

    read: Amount = field(default_factory=Amount)
    recorded: Amount = field(default_factory=Amount)
    duplicates: Amount = field(default_factory=Amount)
    conflicting: Amount = field(default_factory=Amount)
    outside: Amount = field(default_factory=Amount)
    too_old: Amount = field(default_factory=Amount)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            read=self.read + other.read,
            recorded=self.recorded + other.recorded,
            duplicates=self.duplicates + other.duplicates,
            conflicting=self.conflicting + other.conflicting,
            outside=self.outside + other.outside,
            too_old=self.too_old + other.too_old,
        )

    @property
    def accounted(self) -> Amount:
        """The sum of all fields except ``read``."""
        return self.recorded + self.duplicates + self.conflicting + self.outside + self.too_old

    @property
    def adds_up(self) -> bool:
        """Whether ``read`` equals the sum of the other fields, in rows and in money."""
        return self.read == self.accounted
