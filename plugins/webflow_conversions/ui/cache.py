"""The overview cache: one thread makes an overview; all who wait for it, and all viewers of the next seconds, share it."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from time import monotonic

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.ledger.overview import OverviewData, read_overview
from webflow_conversions.ui.dag import DAG_ID, dag_now
from webflow_conversions.ui.ledger import NoLedger, reading
from webflow_conversions.ui.overview import Overview, overview
from webflow_conversions.ui.query import Number
from webflow_conversions.ui.rehearsal import asked_for
from webflow_conversions.ui.threads import Threads, outcome, threads

SHARE = 5
"""Lifetime of a cached overview, or of its failure, as a multiple of the seconds that it took to make."""
MOST_OVERVIEWS = 20
"""Overviews that the cache holds; one for each run that was looked at."""


@dataclass(slots=True)
class _Entry:
    """An overview that is made or was; ``good_until`` is a moment of ``monotonic()``."""

    future: Future[Overview]
    good_until: float = inf


class OverviewCache:
    """The last overviews and failures, by the number of the run that was asked for."""

    def __init__(self, make: Callable[[int | None], Overview], threads: Threads) -> None:
        self._make = make
        self._threads = threads
        self._entries: dict[int | None, _Entry] = {}

    async def get(self, run: int | None) -> Overview:
        """The overview with the funnel of a run; None for the last whole run.

        :raises Unavailable: if the ledger is away, or the threads are busy.
        """
        entry = self._entries.get(run)
        if entry is None or monotonic() >= entry.good_until:
            entry = self._entries[run] = self._begin(run)
            for old in list(self._entries)[:-MOST_OVERVIEWS]:
                self._entries.pop(old, None)
        return await outcome(entry.future)

    def clear(self) -> None:
        """Drop all entries: the next reader gets a new overview."""
        self._entries.clear()

    def _begin(self, run: int | None) -> _Entry:
        """Have an overview made. How long it took counts from its first line: the wait for a thread is no fault of the ledger."""
        began = inf

        def make() -> Overview:
            nonlocal began
            began = monotonic()
            return self._make(run)

        def ended(_: Future[Overview]) -> None:
            entry.good_until = monotonic() + SHARE * max(monotonic() - began, 0)

        entry = _Entry(self._threads.submit(make))
        entry.future.add_done_callback(ended)
        return entry


def _overview(run: int | None) -> Overview:
    # Airflow is read first: a run that has ended there has ended in the ledger, too.
    dag, now = dag_now(), Clock().now()
    try:
        with reading() as session:
            data = read_overview(session, DAG_ID, now, run, next_run_at=dag.next_run_at)
    except NoLedger:
        data = OverviewData(at=now)
    last = data.last_run
    return overview(data, dag, now, asked_to_rehearse=asked_for(last.config_path if last else None))


overviews = OverviewCache(_overview, threads)


async def overview_of(run: Number = None) -> Overview:
    """The overview that the query parameter ``run`` asks for."""
    return await overviews.get(run)
