"""What bounds a push, and what it tells of itself."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

LEASE_MARGIN_SECONDS = 10.0
"""Seconds that a lease lasts longer than two requests."""
_CONNECT_TIMEOUT_SECONDS = 10.0


def connect_timeout_seconds(timeout_seconds: float) -> float:
    """How long connecting may take of the time for a whole request."""
    return min(timeout_seconds, _CONNECT_TIMEOUT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """What bounds a push.

    ``concurrency`` requests at once; ``requests_per_second`` for all pushes to the destination together;
    ``patience_seconds`` without a good answer, then it gives up. ``clock_offset`` is the API's clock minus ours.
    ``token`` is a secret that must not be recorded, should the other side repeat it.
    ``forecast_seconds`` is the time between forecasts. ``grace_seconds`` is how long requests may take to end
    after a stop: Airflow kills 5 seconds after SIGTERM.
    ``told_troubles`` limits how many troubles of a class are logged one by one.
    """

    destination: str
    customer_id: str
    concurrency: int
    requests_per_second: float | None
    timeout_seconds: float
    resend: bool
    patience_seconds: float
    clock_offset: timedelta = timedelta()
    token: str = field(default="", repr=False)
    forecast_seconds: float = 15.0
    grace_seconds: float = 2.5
    told_troubles: int = 100

    @property
    def lease_seconds(self) -> float:
        """Long enough to renew it in time, and for the last request to end within it."""
        return 2 * self.timeout_seconds + LEASE_MARGIN_SECONDS


@dataclass(slots=True)
class PushCounts:
    """What a push did, in conversions; ``requests`` left, or may have left; ``complete`` if it ended in good order.

    ``misled``: answers that were not the API's ended it.
    """

    claimed: int = 0
    requests: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    in_doubt: int = 0
    recovered: int = 0
    deferred: int = 0
    expired: int = 0
    complete: bool = False
    misled: bool = False

    def add(self, counter: str | None, requests: int) -> None:
        """Count an answer: in the field of this name, and the requests that it took."""
        self.requests += requests
        if counter is not None:
            setattr(self, counter, getattr(self, counter) + 1)

    def to_json(self) -> dict[str, Any]:
        """For the ledger and an XCom."""
        return {name: getattr(self, name) for name in self.__slots__} | {"rejected": dict(self.rejected)}
