"""From a source's query to the ledger: read in chunks, judge each row, record it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Protocol

import pandas as pd

from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.warehouse import Chunk, KnownUsers, SourceRows
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.evaluation import evaluate
from webflow_conversions.rules.identity import with_users
from webflow_conversions.rules.source import SourceRules
from webflow_conversions.rules.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What chunks met in the ledger.

    ``again``: conversions that an earlier chunk of the same extraction had recorded; ``conflicting``: source rows of these
    whose content differs from the row that stands. ``returned``: conversions that had been withdrawn and are there again.
    ``had_user``: conversions that were ready, ``lost_user``: those of them whose user is no longer known.
    """

    again: Amount = field(default_factory=Amount)
    conflicting: Amount = field(default_factory=Amount)
    returned: int = 0
    had_user: int = 0
    lost_user: int = 0

    def __add__(self, other: "Met") -> "Met":
        return Met(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    @property
    def moved(self) -> Tally:
        """What it changes in the tally of the rows."""
        return Tally(recorded=-self.again, duplicates=self.again - self.conflicting, conflicting=self.conflicting)


class ExtractionLedger(Protocol):
    """The ledger's methods that extraction calls."""

    def begin(self, now: datetime) -> None: ...

    def record(self, conversions: pd.DataFrame, now: datetime) -> Met: ...

    def end(self, tally: Tally, met: Met, now: datetime) -> None: ...


def extract(
    run: Run,
    rules: SourceRules,
    source: SourceRows,
    users: KnownUsers,
    ledger: ExtractionLedger,
    clock: Callable[[], datetime],
) -> Tally:
    """Read the source once and account for every row: judge it, join it to its user, record it.

    A chunk is judged while a thread records the previous one.

    :raises Unusable: if a query cannot work.
    :raises Unavailable: if the warehouse or the ledger went away; recorded rows stay, and a second try judges them again.
    """
    # Both queries are checked before anything is written.
    source.check()
    users.check()
    ledger.begin(clock())
    tally, met = Tally(), Met()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="record") as recorder:
        pending: Future[Met] | None = None

        def await_recorded() -> None:
            nonlocal met
            if pending is not None:
                met += pending.result()

        def identify(judged: pd.DataFrame) -> pd.DataFrame:
            held = judged[judged["state"] == State.HELD]
            return with_users(judged, users.of(held.assign(id=held.index)))

        def handle(chunk: Chunk) -> None:
            nonlocal tally, pending
            now = clock()
            evaluated = evaluate(chunk, rules, run.window, now, clock_offset=run.clock_offset, identify=identify)
            tally += evaluated.tally
            await_recorded()
            pending = recorder.submit(ledger.record, evaluated.conversions, now)

        source.read(handle)
        await_recorded()
    tally += met.moved
    ledger.end(tally, met, clock())
    return tally
