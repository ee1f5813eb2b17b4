"""The outcomes of a push on their way into the ledger, in batches."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence

from webflow_conversions.delivery.ledger_thread import LedgerThread
from webflow_conversions.delivery.protocols import Clock, PushLedger, Settled, Settlement
from webflow_conversions.rules.states import State

log = logging.getLogger(__name__)

SETTLE_ROWS = 1_000
"""A batch of this size is recorded at once."""
SETTLE_SECONDS = 0.25
"""Seconds between smaller batches."""


class Settling:
    """Collects outcomes, and records them while other requests are out.

    :param rejected: counts the rejected rows by reason.
    """

    def __init__(self, ledger: PushLedger, jobs: LedgerThread, clock: Clock, rejected: Counter[str]) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock
        self._rejected = rejected
        self._waiting: list[Settlement] = []
        self._batch: list[Settlement] = []
        self._settle_at = clock.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether every outcome is recorded."""
        return not (self._waiting or self._jobs.is_busy("settle"))

    @property
    def rows(self) -> Iterator[int]:
        """The rows whose outcome is not known to be recorded."""
        return (outcome.id for outcomes in (self._batch, self._waiting) for outcome in outcomes)

    def add(self, outcomes: Sequence[Settlement]) -> None:
        """Record these outcomes soon."""
        for outcome in outcomes:
            if outcome.state is State.REJECTED:
                self._rejected[str(outcome.reason)] += 1
        self._waiting += outcomes

    def settle(self, *, at_once: bool) -> None:
        """Record a batch if it is time to, or at once; does not wait."""
        now = self._clock.monotonic()
        is_due = at_once or len(self._waiting) >= SETTLE_ROWS or now >= self._settle_at
        if self._waiting and is_due and not self._jobs.is_busy("settle"):
            self._settle_at, batch = now + SETTLE_SECONDS, self.take()
            self._jobs.ask("settle", lambda: self._ledger.settle(batch), self.settled)

    def take(self) -> list[Settlement]:
        """The outcomes that are not known to be recorded, as one batch."""
        self._batch, self._waiting = [*self._batch, *self._waiting], []
        return self._batch

    def settled(self, settled: Settled) -> None:
        """The last batch is recorded, but for rows that another session has locked: these are tried again."""
        rows, self._batch = len(self._batch), []
        self._waiting += settled.locked
        if lost := rows - settled.rows - len(settled.locked):
            log.warning("%s of %s outcomes were recorded before, or are another push's by now", lost, rows)
