"""Moments that count: the 2 days of the API, the window of a run, the nightly import.

All moments are aware datetimes or whole UTC milliseconds; all windows and intervals are half open.
No other module knows how long the 2 days are, nor which clock says what lies in the future.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

MAX_AGE = timedelta(hours=48)
"""Greatest age of a conversion that Webflow counts: the 2 days (docs/webflow-api.md, What is ignored)."""

RECORDED_AGE = timedelta(days=30)
"""Greatest age at which a conversion gets a row in the ledger when it is first read; older ones are only counted."""

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


def _first_millisecond(since_epoch: timedelta) -> int:
    """The first whole millisecond that is not before a moment: rounded up."""
    return -(-since_epoch // _MILLISECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The half-open interval ``[start_ms, end_ms)`` of timestamps in UTC milliseconds; empty where it ends before it starts."""

    start_ms: int
    end_ms: int

    @property
    def is_empty(self) -> bool:
        """Whether no millisecond is inside."""
        return self.end_ms <= self.start_ms

    def __contains__(self, timestamp_ms: int) -> bool:
        return self.start_ms <= timestamp_ms < self.end_ms

    def __and__(self, other: "Interval") -> "Interval":
        return Interval(start_ms=max(self.start_ms, other.start_ms), end_ms=min(self.end_ms, other.end_ms))


def sendable(now: datetime, clock_offset: timedelta | None = None) -> Interval:
    """The timestamps of conversions that may be sent at ``now``: exactly 48 hours old is not too old, ``now`` is no future.

    The age is judged by our clock, the future by the earlier one of our clock and the API's.

    :param clock_offset: the API's clock minus ours; None if it is not known.
    """
    by_our_clock = now - _EPOCH
    by_earlier_clock = by_our_clock + min(clock_offset or timedelta(), timedelta())
    return Interval(start_ms=_first_millisecond(by_our_clock - MAX_AGE), end_ms=by_earlier_clock // _MILLISECOND + 1)


def oldest_recorded_ms(now: datetime) -> int:
    """The oldest timestamp that gets a row in the ledger when it is first read at ``now``."""
    return _first_millisecond(now - _EPOCH - RECORDED_AGE)


def next_import(now: datetime) -> datetime:
    """Webflow's next import: the first midnight UTC after ``now`` (docs/webflow-api.md, When it shows)."""
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
    def interval(self) -> Interval:
        """The whole milliseconds inside."""
        return Interval(start_ms=_first_millisecond(self.start - _EPOCH), end_ms=_first_millisecond(self.end - _EPOCH))

    @property
    def spans_two_days(self) -> bool:
        """Whether the window is at least 2 days long: as long as what may be sent at one moment."""
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
        inside, may_be_sent = self.interval, sendable(now)
        if inside.end_ms <= may_be_sent.start_ms:
            raise WindowError(
                f"The window {self} lies wholly before the last 2 days (now is {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC), "
                "and Webflow ignores what is older: choose a later date."
            )
        if inside.start_ms >= may_be_sent.end_ms:
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
    if day is None or day.isoformat() != text or day == date.max:  # whose end datetime cannot hold
        raise WindowError(f"date is {text!r}, which is no date: write it as YYYY-MM-DD, such as 2026-03-14.")
    return day
