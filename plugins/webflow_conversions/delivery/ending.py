"""Why a push ends before its queue is empty, and how long its last requests may take."""

from enum import Enum, auto

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.errors import Stopped, Unavailable


class Phase(Enum):
    """The states of a push, in their order."""

    BEGINNING = auto()
    """It registers with the ledger."""
    PUSHING = auto()
    LANDING = auto()
    """The requests that are out may end."""
    BREAKING_OFF = auto()
    """The requests that did not end are broken off."""
    AWAITING_CLAIM = auto()
    AWAITING_OUTCOMES = auto()
    """The ledger finishes the jobs that it had begun."""
    RECORDING = auto()
    """The last outcomes are recorded, and unsent rows given back."""
    CLOSING = auto()
    ENDED = auto()


class Ending:
    """The first error that ends a push, and the deadline of a stop.

    ``error``: None while nothing ends the push. ``land_until``: None while nobody asked it to stop.
    """

    def __init__(self, clock: Clock, grace_seconds: float) -> None:
        self.error: Stopped | Unavailable | None = None
        self.land_until: float | None = None
        self._clock = clock
        self._grace_seconds = grace_seconds

    def because(self, error: Stopped | Unavailable | None) -> None:
        """End the push with this error, unless there is none, or an earlier one ends it."""
        self.error = self.error or error

    def stop(self) -> None:
        """End the push at once."""
        self.land_until = self._clock.monotonic() + self._grace_seconds
        self.because(Unavailable("The push was stopped: what it had claimed and not sent waits for the next one."))
