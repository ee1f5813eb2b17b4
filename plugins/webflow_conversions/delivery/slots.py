"""The ceiling of requests a second, which all pushes to a destination keep together."""

from collections import deque
from itertools import takewhile
from sys import maxsize

SLOT_SECONDS = 0.05
"""How late a request may still use its slot. A slot that was missed is lost: by now others may send."""


class Slots:
    """The moments at which this push may send a request, out of the one row of them that all pushes share in the ledger.

    Slots lie a little wider apart than the ceiling asks for, so that it holds in every second although one request is
    late and the next is not. Without a ceiling there is always one.

    :param requests_per_second: the ceiling; None for none.
    """

    def __init__(self, requests_per_second: float | None) -> None:
        self.seconds_apart = 0.0 if requests_per_second is None else (1 + SLOT_SECONDS) / requests_per_second
        self._are_limited = requests_per_second is not None
        self._moments: deque[float] = deque()

    def add(self, first: float, number: int) -> None:
        """So many slots are ours, the first of them at this moment."""
        self._moments.extend(first + place * self.seconds_apart for place in range(number))

    def missing(self, requests: int) -> int:
        """How many slots to ask for, for so many requests; none while half of them have one."""
        if not self._are_limited or len(self._moments) > requests // 2:
            return 0
        return requests - len(self._moments)

    def next_at(self, now: float) -> float | None:
        """When the next request may leave; None until there is a slot."""
        if not self._are_limited:
            return now
        while self._moments and self._moments[0] + SLOT_SECONDS < now:
            self._moments.popleft()
        return self._moments[0] if self._moments else None

    def usable(self, now: float) -> int:
        """How many requests may leave now."""
        if not self._are_limited:
            return maxsize
        self.next_at(now)
        return sum(1 for _ in takewhile(lambda moment: moment <= now, self._moments))

    def use(self, now: float) -> bool:
        """Take a slot for a request that leaves now; whether there was one."""
        if not self._are_limited:
            return True
        slot = self.next_at(now)
        if slot is None or slot > now:
            return False
        self._moments.popleft()
        return True
