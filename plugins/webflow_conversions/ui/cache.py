"""The overview cache: one thread makes an overview, and all viewers of the next seconds share it."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.errors import ConversionsError, Unavailable
from webflow_conversions.ledger.overview import OverviewData, read_overview
from webflow_conversions.ui.dag import DAG_ID, dag_now
from webflow_conversions.ui.ledger import WAIT_SECONDS, NoLedger, reading
from webflow_conversions.ui.overview import Overview, overview
from webflow_conversions.ui.rehearsal import asked_for

SHARE = 5
"""Lifetime of a cached overview, or of its failure, as a multiple of the seconds that it took to make."""
MOST_OVERVIEWS = 20
"""Overviews that the cache holds; one for each run that was looked at."""


class OverviewCache:
    """The last overviews and failures, by the number of the run that was asked for."""

    def __init__(self, make: Callable[[int | None], Overview]) -> None:
        self._make = make
        self._lock = Lock()
        self._cached: dict[int | None, tuple[Overview | ConversionsError, float]] = {}

    def get(self, run: int | None) -> Overview:
        """The overview with the funnel of a run; None for the last whole run.

        :raises Unavailable: if the ledger is away, or another thread has waited for it for ``WAIT_SECONDS``.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("The ledger takes long to answer: try again in some seconds.")
        try:
            cached, good_until = self._cached.get(run, (None, 0.0))
            if cached is None or monotonic() >= good_until:
                cached = self._refresh(run)
        finally:
            self._lock.release()
        if isinstance(cached, ConversionsError):
            raise cached.with_traceback(None)
        return cached

    def clear(self) -> None:
        """Drop all entries: the next reader gets a new overview."""
        self._cached.clear()

    def _refresh(self, run: int | None) -> Overview | ConversionsError:
        began = monotonic()
        made: Overview | ConversionsError
        try:
            made = self._make(run)
        except ConversionsError as error:
            made = error
        self._cached[run] = (made, monotonic() + SHARE * (monotonic() - began))
        while len(self._cached) > MOST_OVERVIEWS:
            self._cached.pop(next(iter(self._cached)))
        return made


def _overview(run: int | None) -> Overview:
    # Airflow is read first: a run that has ended there has ended in the ledger, too.
    dag, now = dag_now(), Clock().now()
    try:
        with reading() as session:
            data = read_overview(session, DAG_ID, now, run, next_run_at=dag.next_run_at)
    except NoLedger:
        data = OverviewData(at=now)
    return overview(data, dag, now, asked_to_rehearse=asked_for())


overviews = OverviewCache(_overview)
