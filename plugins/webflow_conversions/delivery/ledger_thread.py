"""The ledger's work beside the wire's: one job after the other in a thread, their results taken in the caller's."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, TypeVar

from webflow_conversions.errors import Unavailable

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Seconds between two tries of a job while the ledger is away."""
POLL_SECONDS = 0.01
"""Seconds that a push waits for answers, of the API or of the ledger, before it looks at everything else."""


class LedgerThread:
    """Runs jobs in one thread, in the order in which they were asked for, at most one of a kind at a time.

    A job that finds the ledger away is repeated until it is back, and those after it wait: an outcome that is recorded
    late must not come after a newer claim of the same row. Jobs are such that repeating them does no harm.

    ``away`` is why the ledger could not be reached just now; None if it could.
    """

    def __init__(self, name: str = "ledger") -> None:
        self.away: Unavailable | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._jobs: dict[str, tuple[Future[Any], Callable[[], None]]] = {}
        self._closing = Event()

    def is_busy(self, kind: str) -> bool:
        """Whether a job of this kind is under way."""
        return kind in self._jobs

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._jobs

    def ask(self, kind: str, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do a job; ``then`` gets its result in :meth:`collect`."""
        future = self._pool.submit(self._until_done, job)
        self._jobs[kind] = future, lambda: then(future.result())

    def collect(self) -> None:
        """Hand over the results of the jobs that are done.

        :raises Exception: what a job raised, unless the ledger was away.
        """
        for kind, (future, deliver) in list(self._jobs.items()):
            if future.done():
                del self._jobs[kind]
                deliver()

    def wait(self, seconds: float) -> None:
        """Wait until a job is done, at most this long."""
        wait([future for future, _ in self._jobs.values()], timeout=seconds, return_when="FIRST_COMPLETED")

    def close(self, *, wait: bool = True) -> None:
        """Let the job that runs end, and forget the others.

        :param wait: until that job has ended.
        """
        self._closing.set()
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _until_done(self, job: Callable[[], T]) -> T:
        while True:
            try:
                result = job()
            except Unavailable as error:
                self.away = error
                if self._closing.wait(RETRY_SECONDS):
                    raise
            else:
                self.away = None
                return result
