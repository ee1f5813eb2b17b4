"""From a source's query to the ledger: read in chunks, judge each row, record it."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import pandas as pd

from webflow_conversions.errors import Unusable
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.evaluation import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Amount, SourceRules, Tally, evaluate


class Warehouse(Protocol):
    """What extraction and identification need of a warehouse."""

    @property
    def keys_per_query(self) -> int: ...

    def columns(self, sql: str, parameters: Mapping[str, Any]) -> list[str]: ...

    def read(
        self, sql: str, parameters: Mapping[str, Any], columns: Sequence[str], handle: Callable[[dict[str, pd.Series]], None]
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What a chunk met in the ledger.

    ``again`` are conversions that an earlier chunk of the same extraction had recorded; ``changed`` rows differ from
    what was sent.
    """

    again: Amount
    conflicting: int
    changed: int


class ExtractionLedger(Protocol):
    """What extraction needs of the ledger."""

    def begin(self, now: datetime) -> None: ...

    def record(self, conversions: pd.DataFrame, now: datetime) -> Met: ...

    def end(self, tally: Tally, changed: int, now: datetime) -> None: ...


def window_parameters(run: Run) -> dict[str, Any]:
    """The binds of a source's query."""
    return {"window_start": run.window.start, "window_end": run.window.end}


def columns_of(warehouse: Warehouse, source: str, sql: str, run: Run) -> list[str]:
    """The columns of the source's query that count.

    :raises Unusable: if it lacks a column, or the database refuses it.
    """
    found = warehouse.columns(sql, window_parameters(run))
    missing = [name for name in REQUIRED_COLUMNS if name not in found]
    if missing:
        raise Unusable(f"The query of source {source} does not return {' and '.join(missing)}: add it to the SELECT.")
    return [name for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if name in found]


def extract(
    run: Run, rules: SourceRules, sql: str, warehouse: Warehouse, ledger: ExtractionLedger, clock: Callable[[], datetime]
) -> Tally:
    """Read the source once and account for every row.

    Judging a chunk and recording the one before go on side by side.

    :raises Unusable: if the query cannot work.
    :raises Unavailable: if the warehouse or the ledger went away; what was recorded stays, and a second try goes over it again.
    """
    columns = columns_of(warehouse, rules.source, sql, run)
    ledger.begin(clock())
    tally, changed = Tally(), 0
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="record") as recorder:
        pending: Future[Met] | None = None

        def settle() -> None:
            nonlocal tally, changed
            if pending is not None:
                met = pending.result()
                changed += met.changed
                tally += Tally(
                    recorded=Amount(rows=-met.again.rows, value=-met.again.value), duplicates=met.again, conflicting=met.conflicting
                )

        def handle(chunk: dict[str, pd.Series]) -> None:
            nonlocal tally, pending
            now = clock()
            evaluated = evaluate(chunk, rules, run.window, now, latest=run.latest(now))
            tally += evaluated.tally
            settle()
            pending = recorder.submit(ledger.record, evaluated.conversions, now)

        warehouse.read(sql, window_parameters(run), columns, handle)
        settle()
    ledger.end(tally, changed, clock())
    return tally


def money(value: Decimal) -> str:
    """An amount of money for people: ``1,234.50``."""
    return f"{value:,.2f}"
