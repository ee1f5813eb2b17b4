"""From a source's query to the ledger: read in chunks, judge each row, record it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import pandas as pd

from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.warehouse import Chunk, KnownUsers, SourceQuery
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.evaluation import SourceRules, evaluate
from webflow_conversions.rules.identity import with_users
from webflow_conversions.rules.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """The conversions of a chunk that the same extraction had already recorded.

    ``again``: conversions that an earlier chunk recorded. ``conflicting``: source rows of these conversions whose content
    differs from the row that is kept.
    """

    again: Amount
    conflicting: Amount = field(default_factory=Amount)


class ExtractionLedger(Protocol):
    """The ledger's methods that extraction calls."""

    def begin(self, now: datetime) -> None: ...

    def record(self, conversions: pd.DataFrame, now: datetime) -> Met: ...

    def end(self, tally: Tally, now: datetime) -> None: ...


def extract(
    run: Run,
    rules: SourceRules,
    source: SourceQuery,
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
    tally = Tally()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="record") as recorder:
        pending: Future[Met] | None = None

        def await_recorded() -> None:
            nonlocal tally
            if pending is not None:
                met = pending.result()
                tally += Tally(recorded=-met.again, duplicates=met.again - met.conflicting, conflicting=met.conflicting)

        def handle(chunk: Chunk) -> None:
            nonlocal tally, pending
            now = clock()
            evaluated = evaluate(chunk, rules, run.window, now, clock_offset=run.clock_offset)
            tally += evaluated.tally
            held = evaluated.conversions[evaluated.conversions["state"] == State.HELD]
            conversions = with_users(evaluated.conversions, users.of(held.assign(id=held.index)))
            await_recorded()
            pending = recorder.submit(ledger.record, conversions, now)

        source.read(handle)
        await_recorded()
    ledger.end(tally, clock())
    return tally
