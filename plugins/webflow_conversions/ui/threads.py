"""The page's own threads, in which all its work on the ledger is done.

Airflow's API server, in whose process the page lives, has 40 threads for all its routes and one event loop. The page takes none
of the former, and does nothing in the latter that could wait.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from inspect import iscoroutinefunction
from threading import BoundedSemaphore
from typing import Any, ParamSpec, TypeVar, get_type_hints

from fastapi import HTTPException, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from webflow_conversions.errors import ConversionsError, Unavailable, Unexpected, frames
from webflow_conversions.pipeline.failures import sentence_of

log = logging.getLogger(__name__)

THREADS = 4
"""Threads, and so connections to the ledger, of one API server process; PostgreSQL has 100 for everybody by default."""
MOST_WAITING = 32
"""Work that waits for a thread."""
WAIT_SECONDS = 5.0
"""Longest wait for a thread."""
LONGEST_SECONDS = 90.0
"""Longest wait for work that a thread has begun. What the ledger costs ends before (``ui/ledger.py``); the rest is Airflow's own
database, its secrets backend and the DNS, which know no bound."""

P = ParamSpec("P")
T = TypeVar("T")


class Busy(Unavailable):
    """More is asked of the page than it does at a time; in some seconds there is room."""

    def __init__(
        self, sentence: str = "Too many people are asking the ledger at this moment: try again in some seconds."
    ) -> None:
        super().__init__(sentence)


class Threads:
    """A few threads, and a few places to wait for one."""

    def __init__(self, threads: int = THREADS, waiting: int = MOST_WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="webflow-page")
        self._places = BoundedSemaphore(threads + waiting)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have work done by the next free thread.

        :raises Busy: if no place is free.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        future = self.add(work)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def add(self, work: Callable[[], T]) -> Future[T]:
        """Have work done whatever waits already: only for the end of what was begun, which is bounded elsewhere."""
        return self._executor.submit(copy_context().run, _told, work)

    async def run(self, work: Callable[[], T]) -> T:
        """Wait for work; whoever stops waiting takes it back if no thread has begun it.

        :raises Busy: if no place is free, or no thread in ``WAIT_SECONDS``.
        """
        future = self.submit(work)
        try:
            return await outcome(future)
        finally:
            future.cancel()


def _told(work: Callable[[], T]) -> T:
    """Do work. Of an error that nobody foresaw, the log has the type and the place: its text may hold values of rows, or what a
    person looked for.

    :raises Unexpected: in its place.
    """
    try:
        return work()
    except (ConversionsError, HTTPException):
        raise
    except Exception as error:  # noqa: BLE001 - raised below, without its text
        sentence = sentence_of(error)
        log.error("%s\n%s", sentence, frames(error))
    raise Unexpected(sentence)


async def outcome(future: Future[T]) -> T:
    """Wait for work that others may wait for, too.

    :raises Busy: if no thread has begun it in ``WAIT_SECONDS``.
    :raises Unavailable: if it is not done in ``LONGEST_SECONDS``; it goes on.
    """
    waited = asyncio.wrap_future(future)
    waited.add_done_callback(
        lambda done: done.cancelled() or done.exception()
    )  # asyncio complains of errors that nobody asked for
    await asyncio.wait([waited], timeout=WAIT_SECONDS)
    if not (future.running() or future.done()):
        raise Busy
    await asyncio.wait([waited], timeout=LONGEST_SECONDS)
    if not waited.done():
        raise Unavailable("This takes too long: the ledger, Airflow's database or the connection's secrets do not answer.")
    if error := waited.exception():
        raise error.with_traceback(None)  # others may have raised it before
    return waited.result()


threads = Threads()


class OwnThreadRoute(APIRoute):
    """A route whose function runs in the page's own threads, unless it is async; what it returns becomes JSON there, too."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint if iscoroutinefunction(endpoint) else _in_own_thread(endpoint), **options)


def _in_own_thread(function: Callable[P, Any]) -> Callable[P, Any]:
    returned = get_type_hints(function)["return"]
    adapter = None if isinstance(returned, type) and issubclass(returned, Response) else TypeAdapter(returned)

    @wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> Response:
        def work() -> Response:
            found = function(*args, **kwargs)
            return found if adapter is None else Response(adapter.dump_json(found), media_type="application/json")

        return await threads.run(work)

    return run
