"""Will tonight's conversions make it? How fast the queue shrinks, when it will be gone, and what comes too late."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from webflow_conversions.delivery.protocols import Waiting
from webflow_conversions.rules.window import next_import


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast at a moment, at the rate at which all workers together have sent of late."""

    at: datetime
    rows_per_second: float
    waiting: Waiting

    @property
    def done_at(self) -> datetime | None:
        """When the queue is empty; None if nothing moves."""
        if self.waiting.rows == 0:
            return self.at
        if self.rows_per_second <= 0 or self.waiting.rows / self.rows_per_second > 10 * 86_400:
            return None
        return self.at + timedelta(seconds=self.waiting.rows / self.rows_per_second)

    def to_json(self) -> dict[str, Any]:
        """For the run's record."""
        return {
            "at": self.at.isoformat(),
            "rows_per_second": round(self.rows_per_second, 1),
            "waiting_rows": self.waiting.rows,
            "waiting_value": str(self.waiting.value),
            "done_at": self.done_at.isoformat() if self.done_at else None,
            "import_at": next_import(self.at).isoformat(),
            "late_rows": self.waiting.late_rows,
            "late_value": str(self.waiting.late_value),
            "expiring_rows": self.waiting.expiring_rows,
            "expiring_value": str(self.waiting.expiring_value),
        }

    def __str__(self) -> str:
        done = f"{self.done_at:%H:%M:%S} UTC" if self.done_at else "never at this rate"
        text = f"{self.waiting.rows} conversions ({self.waiting.value}) wait; {self.rows_per_second:.0f} a second; done {done}"
        if self.waiting.late_rows:
            text += f"; {self.waiting.late_rows} ({self.waiting.late_value}) miss the import at {next_import(self.at):%H:%M} UTC"
        if self.waiting.expiring_rows:
            text += f"; {self.waiting.expiring_rows} ({self.waiting.expiring_value}) grow older than 2 days before their turn"
        return text


class Rate:
    """How fast a queue that several workers share shrinks, from one look to the next.

    ``value`` is in rows a second; None before the second look.

    :param least_seconds: looks that follow sooner tell nothing: rows are claimed up to a thousand at a time.
    """

    def __init__(self, least_seconds: float) -> None:
        self.value: float | None = None
        self._least_seconds = least_seconds
        self._last: tuple[float, int] | None = None

    def look(self, monotonic: float, rows: int) -> None:
        """So many rows wait now."""
        if self._last is not None:
            seconds = monotonic - self._last[0]
            if seconds < self._least_seconds:
                return
            self.value = max((self._last[1] - rows) / seconds, 0.0)
        self._last = (monotonic, rows)
