"""The requests that are out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from webflow_conversions.delivery.answers import Answer, Trouble
from webflow_conversions.delivery.protocols import Claimed, Clock, Transport
from webflow_conversions.delivery.rate_limit import RateLimit


@dataclass(slots=True)
class Request:
    """A request that was started. ``has_left`` once its connection was ready and it was still allowed to leave."""

    conversion: Claimed
    body: bytes
    started_at: float
    sent_at: float = 0.0
    has_left: bool = False


class InFlight:
    """Starts requests, and hands over those that ended.

    :param may_leave: asked right before the first byte of a request leaves: connecting took its time, and so may have
        whatever froze this process.
    """

    def __init__(
        self, transport: Transport, rate_limit: RateLimit, clock: Clock, may_leave: Callable[[Claimed, float, datetime], bool]
    ) -> None:
        self._transport = transport
        self._rate_limit = rate_limit
        self._clock = clock
        self._ask = may_leave
        self._requests: dict[int, Request] = {}
        self.connecting = 0
        """Requests that have not left yet."""

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def rows(self) -> Iterator[int]:
        """The rows whose requests are out."""
        return iter(self._requests)

    def has_room(self, limit: int, now: float) -> bool:
        """Whether another request may start, within the concurrency and the rate limit."""
        return self._transport.in_flight < limit and self.connecting < self._rate_limit.usable(now)

    def start(self, conversion: Claimed, body: bytes, now: float) -> None:
        """Start a request."""
        self._requests[conversion.id] = Request(conversion, body, now)
        self.connecting += 1
        self._transport.send(conversion.id, body, self._may_leave)

    def ended(self, wait_seconds: float) -> Iterator[tuple[Request, Answer]]:
        """The requests that ended; waits at most this long if there is none."""
        for tag, answer in self._transport.poll(wait_seconds):
            yield self._end(self._requests[tag], answer)
            del self._requests[tag]  # Not before: if handling the answer fails, the request is in doubt.

    def break_off(self) -> Iterator[tuple[Request, Answer]]:
        """Break all requests off: what has left is lost, and the rest never leaves."""
        self._transport.drop(self._requests.keys())
        for request in self._requests.values():
            trouble = Trouble.LOST if request.has_left else Trouble.WITHHELD
            yield self._end(request, Answer(trouble=trouble, detail="stopped before the answer came"))
        self._requests.clear()

    def _end(self, request: Request, answer: Answer) -> tuple[Request, Answer]:
        self.connecting -= not request.has_left
        return request, answer

    def _may_leave(self, tag: int) -> bool:
        request, now, moment = self._requests[tag], self._clock.monotonic(), self._clock.now()
        request.sent_at = moment.timestamp()
        request.has_left = self._ask(request.conversion, now, moment) and self._rate_limit.use(now)
        self.connecting -= request.has_left
        return request.has_left
