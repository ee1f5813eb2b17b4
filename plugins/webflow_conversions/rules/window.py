"""Which moments count: the 2 days of the API, the window of a run, the nightly import.

All moments are aware datetimes or whole UTC milliseconds; all windows are half open.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

MAX_AGE = timedelta(hours=48)
"""Webflow ignores what is older than 2 days (docs/webflow-api.md, What is ignored)."""

RECORDED_AGE = timedelta(days=30)
"""What is older than this when first read is counted, but gets no row in the ledger."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_milliseconds(moment: datetime) -> int:
    """UTC milliseconds of an aware moment, floored.

    :raises TypeError: for a naive datetime.
    """
    return (moment - _EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """The aware UTC moment of whole milliseconds."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def oldest_sendable_ms(now: datetime) -> int:
    """The oldest timestamp that still counts at ``now``: exactly 48 hours is not too old."""
    return -(-(now - _EPOCH - MAX_AGE) // _MILLISECOND)


def oldest_recorded_ms(now: datetime) -> int:
    """The oldest timestamp that gets a row in the ledger when it is first read at ``now``."""
    return -(-(now - _EPOCH - RECORDED_AGE) // _MILLISECOND)


def latest_sendable_ms(now: datetime) -> int:
    """The latest timestamp that is not in the future at ``now``."""
    return to_milliseconds(now)


def next_import(now: datetime) -> datetime:
    """When Webflow imports next: the first midnight UTC after ``now`` (docs/webflow-api.md, When it shows)."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


class WindowError(ValueError):
    """A run was asked for conversions that cannot be sent; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The half-open interval ``[start, end)`` of conversion moments that a run may send."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs aware datetimes")
        if not self.start < self.end:
            raise ValueError(f"a window must start before it ends: {self}")

    @property
    def start_ms(self) -> int:
        """The first millisecond inside."""
        return -(-(self.start - _EPOCH) // _MILLISECOND)

    @property
    def end_ms(self) -> int:
        """The first millisecond outside."""
        return -(-(self.end - _EPOCH) // _MILLISECOND)

    @property
    def spans_two_days(self) -> bool:
        """Whether it has room for all that may be sent at one moment."""
        return self.end - self.start >= MAX_AGE

    def __str__(self) -> str:
        return f"[{self.start.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {self.end.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)"

    @classmethod
    def up_to(cls, end: datetime) -> "Window":
        """The 2 days before ``end``."""
        return cls(start=end.astimezone(UTC) - MAX_AGE, end=end)

    @classmethod
    def of_date(cls, day: date) -> "Window":
        """One day, midnight to midnight UTC."""
        start = datetime.combine(day, time(), UTC)
        return cls(start=start, end=start + timedelta(days=1))

    def refuse_if_hopeless(self, now: datetime) -> None:
        """Refuse a window in which nothing can be sent at ``now``.

        :raises WindowError: if it lies wholly before the last 2 days, or wholly in the future.
        """
        if self.end_ms <= oldest_sendable_ms(now):
            raise WindowError(
                f"The window {self} lies wholly before the last 2 days (now is {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC), "
                "and Webflow ignores what is older: choose a later date."
            )
        if self.start_ms > latest_sendable_ms(now):
            raise WindowError(
                f"The window {self} lies in the future (now is {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC): "
                "choose today or yesterday."
            )


def parse_date(text: str) -> date:
    """The date in ``YYYY-MM-DD``.

    :raises WindowError: for anything else.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise WindowError(f"date is {text!r}, which is no date: write it as YYYY-MM-DD, such as 2026-03-14.")
    return day
