"""The forecast of a push: when its queue is empty, and which conversions miss the next import or expire before their turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import next_import

LONGEST_SECONDS = 10 * 86_400
"""Seconds that a queue may take; a queue that takes longer has no end at this rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The conversions that wait for a push.

    Of ``total``, ``expiring`` grow older than 2 days before their turn; ``late`` are the others that miss the next import.
    """

    total: Amount
    late: Amount
    expiring: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast for one destination at one moment.

    ``rows_per_second`` is the rate at which all pushes to the destination together shrink the queue. The push that writes a
    forecast replaces it before ``stands_until``; after that moment the push is gone, and nobody may rely on its rate.
    """

    at: datetime
    stands_until: datetime
    rows_per_second: float
    waiting: Waiting

    @property
    def done_at(self) -> datetime | None:
        """The moment at which the queue is empty; None if the queue does not shrink."""
        if self.waiting.total.rows == 0:
            return self.at
        if self.rows_per_second <= 0 or self.waiting.total.rows / self.rows_per_second > LONGEST_SECONDS:
            return None
        return self.at + timedelta(seconds=self.waiting.total.rows / self.rows_per_second)

    def stands(self, now: datetime) -> bool:
        """Whether readers may rely on the forecast at ``now``."""
        return now <= self.stands_until

    def to_json(self) -> dict[str, Any]:
        """The document in ``webflow.runs.forecast``; ``done_at`` and ``import_at`` are for people who query the table."""
        return {
            "at": self.at.isoformat(),
            "stands_until": self.stands_until.isoformat(),
            "rows_per_second": self.rows_per_second,
            "waiting_rows": self.waiting.total.rows,
            "waiting_value": str(self.waiting.total.value),
            "done_at": self.done_at.isoformat() if self.done_at else None,
            "import_at": next_import(self.at).isoformat(),
            "late_rows": self.waiting.late.rows,
            "late_value": str(self.waiting.late.value),
            "expiring_rows": self.waiting.expiring.rows,
            "expiring_value": str(self.waiting.expiring.value),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Forecast":
        """The forecast that :meth:`to_json` wrote."""

        def amount(part: str) -> Amount:
            return Amount(rows=document[f"{part}_rows"], value=Decimal(document[f"{part}_value"]))

        return cls(
            at=datetime.fromisoformat(document["at"]),
            stands_until=datetime.fromisoformat(document["stands_until"]),
            rows_per_second=document["rows_per_second"],
            waiting=Waiting(total=amount("waiting"), late=amount("late"), expiring=amount("expiring")),
        )

    def __str__(self) -> str:
        done = f"{self.done_at:%H:%M:%S} UTC" if self.done_at else "never at this rate"
        total, late, expiring = self.waiting.total, self.waiting.late, self.waiting.expiring
        text = f"{total.rows} conversions ({total.value}) wait; {self.rows_per_second:.0f} a second; done {done}"
        if late.rows:
            text += f"; {late.rows} ({late.value}) miss the import at {next_import(self.at):%H:%M} UTC"
        if expiring.rows:
            text += f"; {expiring.rows} ({expiring.value}) grow older than 2 days before their turn"
        return text


def forecasts_of(record: Mapping[str, Any] | None) -> dict[str, Forecast]:
    """The forecasts in ``webflow.runs.forecast``, by destination."""
    return {destination: Forecast.from_json(document) for destination, document in (record or {}).items()}
