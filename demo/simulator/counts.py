"""Counts of the requests that the simulator received since its start."""

from collections import Counter, deque
from typing import Any

TWICE_AT_ONCE_SHOWN = 100
"""Action IDs of ``twice_at_once`` that the JSON names, at most."""

SECONDS_KEPT = 600
"""Seconds with requests whose number of requests is kept, at most."""


class RequestCounts:
    """Counts of requests to the endpoint; requests to the simulator's own pages are not counted.

    ``twice_at_once`` lists action IDs that were received while another request with the same ID was open. A client that
    waits for an answer, or for the end of the connection, before it tries again causes none.

    :param still_open: requests that were received before and have not ended.
    """

    def __init__(self, still_open: int = 0) -> None:
        self.open = still_open
        self.malformed = 0
        self.twice_at_once: list[str] = []
        self._requests = 0
        self._most_at_once = still_open
        self._elsewhere = 0
        self._elsewhere_with_authorization = 0
        self._by_status: Counter[int | None] = Counter()
        self._seconds: deque[list[int]] = deque(maxlen=SECONDS_KEPT)

    def begin(self, second: int) -> None:
        """Count a request that was received in this second of the machine's clock."""
        self._requests += 1
        self.open += 1
        self._most_at_once = max(self._most_at_once, self.open)
        if self._seconds and self._seconds[-1][0] >= second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])

    def end(self, status: int | None) -> None:
        """Count the end of a request, with the status of its answer; None without a complete answer."""
        self.open -= 1
        self._by_status[status] += 1

    def redirected(self, with_authorization: bool) -> None:
        """Count a request to the target of redirects."""
        self._elsewhere += 1
        self._elsewhere_with_authorization += with_authorization

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self._requests,
            "requests_by_status": {"none" if status is None else str(status): n for status, n in self._by_status.items()},
            "requests_per_second": [{"second": second, "requests": n} for second, n in self._seconds],
            "most_at_once": self._most_at_once,
            "open": self.open,
            "twice_at_once": {"count": len(self.twice_at_once), "first": self.twice_at_once[:TWICE_AT_ONCE_SHOWN]},
            "malformed": self.malformed,
            "elsewhere": {"requests": self._elsewhere, "with_authorization": self._elsewhere_with_authorization},
        }
