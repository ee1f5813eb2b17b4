"""The pause that the API asked for with ``Retry-After``, on its way to the other pushes of the destination."""

from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.protocols import Clock, PushLedger


class SharedPause:
    """Tells the other pushes of a pause, through the ledger."""

    def __init__(self, ledger: PushLedger, jobs: LedgerThread, clock: Clock) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock
        self._until = clock.monotonic()

    @property
    def seconds_left(self) -> float:
        """Seconds of a pause that the ledger does not know of; zero or less if there is none."""
        return self._until - self._clock.monotonic()

    def ask(self, seconds: float) -> None:
        """The API asked for a pause of this length."""
        self._until = max(self._until, self._clock.monotonic() + seconds)

    def share(self) -> None:
        """Record the pause if the ledger does not know of it; does not wait."""
        seconds, until = self.seconds_left, self._until
        if seconds > 0 and not self._jobs.is_busy("rest"):
            self._jobs.ask("rest", lambda: self._ledger.rest(seconds), lambda _: self._shared(until))

    def _shared(self, until: float) -> None:
        if self._until <= until:  # otherwise the API asked for a longer one meanwhile
            self._until = self._clock.monotonic()
