"""The simulator's own pages: summary, events, faults and clock. They need no token, are not counted and meet no faults."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from demo.simulator.clock import LARGEST_OFFSET_SECONDS, Clock
from demo.simulator.connection import Connection
from demo.simulator.endpoint import Endpoint
from demo.simulator.faults import Faults, FaultyConfiguration
from demo.simulator.overview import as_page
from demo.simulator.reply import Reply, json_reply, no_page, refusal
from demo.simulator.request import Request
from demo.simulator.site_pages import SitePages, is_site_page
from demo.simulator.store import EventReader

MOST_EVENTS_READ = 10_000
"""Rows of one answer of ``GET /simulator/events``, at most."""

_ACTION_IDS = b"/simulator/action_ids"
_CHUNK = 5_000
"""Action IDs that are read and sent at once."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Page = Callable[[Request], Coroutine[Any, Any, Reply]]


def is_page(path: bytes) -> bool:
    """Whether a path is one of the simulator's own, existing or not."""
    return path in (b"/", b"/favicon.ico") or path.startswith(b"/simulator/")


class Pages:
    """The pages of an endpoint; they read its events in a thread of their own."""

    def __init__(
        self, endpoint: Endpoint, site: SitePages, reader: EventReader, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._endpoint = endpoint
        self._site = site
        self._reader = reader
        self._clock = clock
        self._loop = loop
        self._thread = ThreadPoolExecutor(1)
        self._pages: dict[tuple[bytes, bytes], Page] = {
            (b"GET", b"/"): self._show_overview,
            (b"GET", b"/simulator/summary"): self._show_summary,
            (b"GET", b"/simulator/events"): self._show_events,
            (b"DELETE", b"/simulator/events"): self._clear_events,
            (b"GET", b"/simulator/faults"): self._show_faults,
            (b"PUT", b"/simulator/faults"): self._set_faults,
            (b"DELETE", b"/simulator/faults"): self._clear_faults,
            (b"GET", b"/simulator/clock"): self._show_clock,
            (b"PUT", b"/simulator/clock"): self._set_clock,
        }

    def receive(self, connection: Connection, request: Request, path: bytes) -> None:
        """Handle a request for a path of :func:`is_page`."""
        if is_site_page(path):
            self._site.receive(connection, request, path)
            return
        page = self._pages.get((request.method, path))
        if path == _ACTION_IDS and request.method == b"GET":
            connection.stream(self._action_ids(), b"text/plain; charset=utf-8")
        elif page is not None:
            connection.conclude_later(partial(self._answer, page, request))
        else:
            connection.conclude(no_page(*(method for method, known in self._pages if known == path)))

    def close(self) -> None:
        """Wait for the thread to end."""
        self._thread.shutdown()

    async def _answer(self, page: Page, request: Request) -> Reply:
        try:
            return await page(request)
        except (ValueError, FaultyConfiguration) as error:
            return refusal(400, str(error))
        except sqlite3.Error as error:
            return refusal(500, f"The simulator could not read its database: {error}.")

    async def _summary(self) -> dict[str, Any]:
        stored = await self._loop.run_in_executor(self._thread, self._reader.summary)
        return {**stored, **self._endpoint.counts.as_json(), "clock_offset_seconds": self._clock.offset_seconds}

    async def _show_overview(self, request: Request) -> Reply:
        page = as_page(await self._summary(), self._endpoint.faults.as_json())
        return Reply(200, page.encode(), b"text/html; charset=utf-8")

    async def _show_summary(self, request: Request) -> Reply:
        return json_reply(await self._summary())

    async def _show_events(self, request: Request) -> Reply:
        asked = {name: values[-1] for name, values in parse_qs(request.target.partition(b"?")[2].decode()).items()}
        limit, offset = int(asked.get("limit", "100")), int(asked.get("offset", "0"))
        if not 0 <= limit <= MOST_EVENTS_READ or not 0 <= offset < 2**63:
            raise ValueError(f"limit must be from 0 to {MOST_EVENTS_READ}, offset not negative.")

        def read() -> Reply:
            return json_reply(self._reader.events(limit=limit, offset=offset, action_id=asked.get("action_id")))

        return await self._loop.run_in_executor(self._thread, read)

    async def _action_ids(self) -> AsyncGenerator[bytes, None]:
        chunks = self._reader.action_ids(_CHUNK)
        try:
            while chunk := await self._loop.run_in_executor(self._thread, next, chunks, None):
                yield "".join(f"{action_id.translate(_ESCAPES)}\t{count}\n" for action_id, count in chunk).encode()
        finally:
            self._thread.submit(chunks.close)

    async def _clear_events(self, request: Request) -> Reply:
        self._endpoint.clear()
        await self._site.forget_imports()
        return await self._show_summary(request)

    async def _show_faults(self, request: Request) -> Reply:
        return json_reply(self._endpoint.faults.as_json())

    async def _set_faults(self, request: Request) -> Reply:
        self._endpoint.faults = Faults(request.body or b"")
        return await self._show_faults(request)

    async def _clear_faults(self, request: Request) -> Reply:
        self._endpoint.faults = Faults()
        return await self._show_faults(request)

    async def _show_clock(self, request: Request) -> Reply:
        return json_reply({"offset_seconds": self._clock.offset_seconds})

    async def _set_clock(self, request: Request) -> Reply:
        told = json.loads(request.body or b"")
        offset = told.get("offset_seconds") if isinstance(told, dict) else None
        if not isinstance(offset, int | float) or not abs(offset) <= LARGEST_OFFSET_SECONDS:
            raise ValueError(f"offset_seconds must be a number, {LARGEST_OFFSET_SECONDS} at most.")
        self._clock.offset_seconds = float(offset)
        return await self._show_clock(request)
