"""What the push needs of the ledger, of the wire and of time.

What is made once for each event is a NamedTuple here, in ``answers`` and in ``rules.event``: it takes a third of the time
of a frozen dataclass.
"""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from webflow_conversions.delivery.answers import Answer
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.states import State


class Claimed(NamedTuple):
    """A conversion that this push may send.

    ``attempts``: its earlier ones. ``failures``: those that ``attempts_per_run`` limits.
    """

    id: int
    event: Event
    attempts: int
    failures: int


class Settlement(NamedTuple):
    """What came of a claimed conversion.

    ``attempts`` requests left or may have left, ``doubts`` of them with no known outcome; ``failures`` count towards
    the attempts of this run. ``retry_seconds``: not again before.
    """

    id: int
    state: State
    reason: str | None = None
    trouble: str | None = None
    http_status: int | None = None
    attempts: int = 0
    doubts: int = 0
    failures: int = 0
    retry_seconds: float | None = None
    sent_at: float | None = None


class Settled(NamedTuple):
    """``rows`` that got their outcome; ``locked``: outcomes to be settled again, since another session has their rows locked."""

    rows: int
    locked: Sequence[Settlement] = ()


class Elsewhere(NamedTuple):
    """What other pushes to the destination do.

    ``accepted``: events of other pushes of this run. ``has_earlier``, ``has_later``: whether a running push that began before or
    after this one has claimed rows that this one could send.
    """

    accepted: int
    has_earlier: bool
    has_later: bool


class PushLedger(Protocol):
    """The ledger as one push sees it. Every method raises :class:`~webflow_conversions.errors.Unavailable` if it is away."""

    def begin(self, lease_seconds: float) -> bool:
        """Register this push, and declare earlier tries of it dead; whether the push before it to the destination was misled."""

    def recover(self, now: datetime) -> int:
        """Mark the rows of dead pushes as in doubt; how many. They may go out once no request of a dead push can be out."""

    def claim(self, rows: int, now: datetime) -> Sequence[Claimed]:
        """Claim the rows that expire first, and commit the claim; in the order of expiry."""

    def claim_probes(self, rows: int, now: datetime) -> Sequence[Claimed]:
        """Claim this number of rows of each source, of those that expire last, and commit the claim."""

    def reserve(self, permits: int, seconds_apart: float) -> float:
        """Reserve the next permits of the destination, for this push alone; the seconds until the first."""

    def settle(self, settlements: Sequence[Settlement]) -> Settled:
        """Record outcomes of the rows that are still this push's."""

    def release(self, known: Sequence[int]) -> int:
        """Give back what is recorded as claimed by this push and is none of these; how many.

        Such rows come from a claim whose commit was not confirmed: the push does not know of them, and never sent them.
        """

    def renew(self, lease_seconds: float, counts: dict[str, Any]) -> float | None:
        """Keep the lease; the seconds for which the destination rests, or None if this push was declared dead."""

    def rest(self, seconds: float) -> None:
        """Let all pushes to the destination rest."""

    def seconds_to_retry(self, now: datetime) -> float | None:
        """When the next row of this run may be claimed; None if there is none."""

    def elsewhere(self, now: datetime) -> Elsewhere:
        """What other pushes to the destination do."""

    def end(self, counts: dict[str, Any]) -> None:
        """Give the lease back: nothing is out any more."""

    def close(self) -> None:
        """Give the connection back; nothing is asked any more."""


class Forecasts(Protocol):
    """The ledger as the progress reporter sees it."""

    def waiting(self, now: datetime, rows_per_second: float, seconds_to_import: float) -> Waiting:
        """Count the waiting conversions, and those that miss the import or expire at this rate."""

    def record(self, forecast: Forecast) -> None:
        """Write the forecast into the run's record, in place of the one before."""

    def close(self) -> None:
        """Give the connection back; nothing is asked any more."""


class Transport(Protocol):
    """The wire: many requests at once, no thread of its own."""

    @property
    def in_flight(self) -> int:
        """How many requests are out."""

    def send(self, tag: int, body: bytes, may_leave: Callable[[int], bool]) -> None:
        """Start a request. ``may_leave(tag)`` is asked right before its first byte leaves; if not, it ends as withheld."""

    def poll(self, wait_seconds: float) -> list[tuple[int, Answer]]:
        """The requests that ended; waits at most this long if there is none."""

    def drop(self, tags: Collection[int]) -> None:
        """Break these requests off."""

    def close(self) -> None:
        """Drop everything; it may take its time."""


_STEADY_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """The time; a test has its own."""

    def now(self) -> datetime:
        """The wall clock, aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only go on, also while the machine is suspended: a lease does."""
        return time.clock_gettime(_STEADY_CLOCK)

    def sleep(self, seconds: float) -> None:
        """Do nothing for this time."""
        time.sleep(seconds)
