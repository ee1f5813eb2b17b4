"""How many requests at once, when to rest, and when to give up: additive increase, multiplicative decrease, full jitter."""

from collections.abc import Callable

from webflow_conversions.errors import Unavailable

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 60.0
SLOW_SHARE = 0.5
"""An answer that took more than this share of the time-out is not quick."""


def backoff_seconds(failures: int, chance: Callable[[], float]) -> float:
    """Exponential back-off with full jitter: anything up to twice as long after each failure, at most a minute.

    :param failures: how many there were in a row, from 1.
    :param chance: a number in ``[0, 1)``.
    """
    return chance() * min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(failures, 16))


class Pace:
    """How many requests may be out at once, within ``[1, most]``, and until when all rest.

    The limit doubles with every round of clean answers until the first trouble, then grows by one a round. Trouble
    halves it, once for all the requests that were out together.
    """

    def __init__(self, *, most: int, timeout_seconds: float, now: float, chance: Callable[[], float], first: int = 8) -> None:
        self._most = float(most)
        self._limit = float(min(first, most))
        self._threshold = float(most)
        self._halved_at = now
        self._quick_seconds = timeout_seconds * SLOW_SHARE
        self._chance = chance
        self._troubles = 0
        self.rest_until = now

    @property
    def limit(self) -> int:
        """How many requests may be out at once."""
        return int(self._limit)

    def begin_with_one(self) -> None:
        """Begin with one request at a time, since nothing proves yet that the API answers."""
        self._limit = 1.0

    def clean(self, seconds: float) -> None:
        """A good answer came after this number of seconds."""
        self._troubles = 0
        if seconds <= self._quick_seconds:
            step = 1.0 if self._limit < self._threshold else 1.0 / self._limit
            self._limit = min(self._limit + step, self._most)

    def slow_down(self, *, started_at: float, now: float) -> None:
        """A request that started at ``started_at`` met a sign of overload."""
        if started_at >= self._halved_at:
            self._limit = self._threshold = max(1.0, self._limit / 2)
            self._halved_at = now

    def rest(self, *, started_at: float, now: float, asked_seconds: float | None) -> float:
        """Nothing can be sent now: rest as long as was asked, else by back-off; for how many seconds.

        Requests that were out together count as one trouble.
        """
        if started_at >= self._halved_at:
            self._troubles += 1
        self.slow_down(started_at=started_at, now=now)
        seconds = backoff_seconds(self._troubles, self._chance) if asked_seconds is None else asked_seconds
        self.rest_for(seconds, now)
        return seconds

    def rest_for(self, seconds: float, now: float) -> None:
        """Rest for at least this number of seconds from now."""
        self.rest_until = max(self.rest_until, now + seconds)


class Patience:
    """How long the API has given bad answers alone."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    @property
    def is_tried(self) -> bool:
        """Whether no good answer came since the last trouble."""
        return self._since is not None

    def good(self) -> None:
        """A good answer came."""
        self._since = None

    def bad(self, now: float, trouble: str) -> Unavailable | None:
        """A bad answer came; the error that ends the push, once the patience is over."""
        if self._since is None:
            self._since = now
        waited = now - self._since
        if waited <= self._seconds:
            return None
        return Unavailable(
            f"The API gave no good answer for {waited:.0f} seconds (last trouble: {trouble}): "
            "what is left stays ready, and can go out until it is 2 days old."
        )

    def pause(self, seconds: float) -> Unavailable | None:
        """The API asks for a pause of this length; the error that ends the push, if it is longer than the patience."""
        if seconds <= self._seconds:
            return None
        return Unavailable(
            f"The API asks to wait {seconds:.0f} seconds, more than delivery.patience_seconds: the rest stays ready."
        )
