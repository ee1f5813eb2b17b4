"""The ledger's work beside the wire's: one job after the other in a thread, their results taken in the caller's."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from webflow_conversions.errors import Unavailable

T = TypeVar("T")

RETRY_SECONDS = 1.0


class LedgerThread:
    """Runs jobs in one thread, at most one of a kind at a time.

    A job that finds the ledger away is repeated until it is back; jobs are such that this does no harm.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._jobs: dict[str, tuple[Callable[[], Any], Callable[[Any], None], Future[Any] | None]] = {}
        self._repeat_at = 0.0
        self.away: Unavailable | None = None

    def is_busy(self, kind: str) -> bool:
        """Whether a job of this kind is under way."""
        return kind in self._jobs

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._jobs

    def ask(self, kind: str, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do a job; ``then`` gets its result in :meth:`collect`."""
        self._jobs[kind] = (job, then, self._pool.submit(job))

    def collect(self) -> None:
        """Hand over the results of the jobs that are done, and repeat those that found the ledger away.

        :raises Exception: what a job raised, unless the ledger was away.
        """
        for kind, (job, then, future) in list(self._jobs.items()):
            if future is None:
                if self._monotonic() >= self._repeat_at:
                    self._jobs[kind] = (job, then, self._pool.submit(job))
                continue
            if not future.done():
                continue
            try:
                result = future.result()
            except Unavailable as error:
                self.away = error
                self._repeat_at = self._monotonic() + RETRY_SECONDS
                self._jobs[kind] = (job, then, None)
                continue
            self.away = None
            del self._jobs[kind]
            then(result)

    def wait(self, seconds: float) -> None:
        """Wait until a job is done, at most so long."""
        futures = [future for _, _, future in self._jobs.values() if future is not None]
        wait(futures, timeout=seconds, return_when="FIRST_COMPLETED")

    def close(self) -> None:
        """Let the job that runs end, and forget the others."""
        self._pool.shutdown(wait=True, cancel_futures=True)
