"""The rate limit of a destination, shared by all its pushes."""

from collections import deque
from itertools import takewhile
from sys import maxsize

from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.protocols import Clock, PushLedger

PERMIT_SECONDS = 0.05
"""Seconds after its moment in which a permit may still be used. A permit that was missed is lost: another push may send now."""


class RateLimit:
    """The moments at which this push may send a request, out of the one row of them that all pushes share in the ledger.

    Permits lie a little wider apart than the rate limit asks for, so that it holds in every second although one request is
    late and the next is not. A request whose connection took longer than that leaves between two permits, and takes both, if they
    are neighbours and both ours: whatever second it falls into has one of the two unused. Each time that there was none, more
    of them are asked for at once, until they last from the start of a connection to its end.

    Without a rate limit there is always a permit.

    :param requests_per_second: the rate limit; None for none.
    :param connect_seconds: how long connecting may take.
    """

    def __init__(self, requests_per_second: float | None, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self.seconds_apart = 0.0 if requests_per_second is None else (1 + PERMIT_SECONDS) / requests_per_second
        self._are_limited = requests_per_second is not None
        self._moments: deque[float] = deque()
        self._at_once = 1
        self._longer_at = float("-inf")

    def add(self, first: float, number: int) -> None:
        """Add this number of permits, the first of them at this moment."""
        self._moments.extend(first + place * self.seconds_apart for place in range(number))

    def missing(self, requests: int, now: float) -> int:
        """How many permits to ask for, for this number of requests; none while half of them have one."""
        if not self._are_limited or requests <= 0:
            return 0
        self._forget(now)
        wanted = max(requests, self._at_once)
        if len(self._moments) > wanted // 2:
            return 0
        return max(wanted - len(self._moments), self._at_once)

    def next_at(self, now: float) -> float | None:
        """When the next request may leave; None until there is a permit."""
        if not self._are_limited:
            return now
        self._forget(now)
        return next((moment for moment in self._moments if not _is_missed(moment, now)), None)

    def usable(self, now: float) -> int:
        """How many requests may leave now."""
        if not self._are_limited:
            return maxsize
        self._forget(now)
        return sum(not _is_missed(moment, now) for moment in takewhile(lambda moment: moment <= now, self._moments))

    def use(self, now: float) -> bool:
        """Take a permit for a request that leaves now, or the two around this moment; whether there were."""
        if not self._are_limited:
            return True
        self._forget(now)
        if self._moments and self._moments[0] <= now:
            if _is_missed(self._moments.popleft(), now):
                self._moments.popleft()
            else:
                self._at_once = max(self._at_once - 1, 1)
            return True
        if now >= self._longer_at:
            self._at_once = min(2 * self._at_once, 2 + int(self._connect_seconds / self.seconds_apart))
            self._longer_at = now + self._at_once * self.seconds_apart
        return False

    def _forget(self, now: float) -> None:
        """Drop what was missed, but for one whose neighbour is still to come."""
        while self._moments and _is_missed(self._moments[0], now) and not self._has_next_ahead(now):
            self._moments.popleft()

    def _has_next_ahead(self, now: float) -> bool:
        return len(self._moments) > 1 and now < self._moments[1] < self._moments[0] + 1.5 * self.seconds_apart


def ask_for_permits(rate_limit: RateLimit, requests: int, ledger: PushLedger, jobs: LedgerThread, clock: Clock) -> None:
    """Reserve permits for this number of requests where they are missing; does not wait."""
    number = rate_limit.missing(requests, clock.monotonic())

    def reserve() -> float:
        asked_at = clock.monotonic()  # The earlier clock, since the ledger's commit may take its time.
        return asked_at + ledger.reserve(number, rate_limit.seconds_apart)

    if number > 0 and not jobs.is_busy("reserve"):
        jobs.ask("reserve", reserve, lambda first: rate_limit.add(first, number))


def _is_missed(moment: float, now: float) -> bool:
    return moment + PERMIT_SECONDS < now
