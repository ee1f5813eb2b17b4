"""The simulator of Webflow's ``POST /event``, and the pages that tell what it received.

What the contract leaves open is decided here: 401 without the token, before anything else is looked at; 404 for
another path, 405 for another method, 413 for more than a megabyte, 415 for another content type, 400 for what is no
event; a second event with the same ``actionId`` is stored again.

An event is committed before its answer goes out; events that arrive together are committed together.
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from demo.simulator_connection import Connection, Receiver, Reply, Request
from demo.simulator_event import Event, Malformed, ignored_because, parse_event
from demo.simulator_faults import UNTOUCHED, Faults, FaultyConfiguration, Verdict
from demo.simulator_figures import Figures, as_page
from demo.simulator_store import EventReader, EventStore, StoredEvent

MOST_EVENTS_READ = 10_000
"""So many rows ``GET /simulator/events`` gives at most."""

LARGEST_CLOCK_OFFSET_SECONDS = 1_000_000_000

_COMMIT_AT = 500
_CHUNK = 5_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Simulator(Receiver):
    """One account's endpoint, on one database file.

    :param clock_offset_seconds: how far its clock is ahead of the machine's.
    :raises sqlite3.Error: the file cannot be used.
    """

    def __init__(
        self,
        *,
        database: Path,
        token: str,
        customer_id: str,
        faults: Faults,
        clock_offset_seconds: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._store = EventStore(database)
        self._reader = EventReader(database)
        self._authorization = f"ApiKey {token}".encode()
        self._customer_id = customer_id
        self._faults = faults
        self._offset = clock_offset_seconds
        self._loop = loop
        self._reading = ThreadPoolExecutor(1)
        self._figures = Figures()
        self._connections: set[Connection] = set()
        self._action_ids_of_open: dict[int, str] = {}
        self._open_of = Counter[str]()
        self._to_commit: list[StoredEvent] = []
        self._to_conclude: list[tuple[Connection, Reply, Verdict]] = []
        self._commit_due: asyncio.Handle | None = None
        self._date = b""
        self._date_second = 0
        self._own_pages: dict[tuple[bytes, bytes], Callable[[Request], Coroutine[Any, Any, Reply]]] = {
            (b"GET", b"/"): self._show_page,
            (b"GET", b"/simulator/summary"): self._show_summary,
            (b"GET", b"/simulator/events"): self._show_events,
            (b"DELETE", b"/simulator/events"): self._begin_anew,
            (b"GET", b"/simulator/faults"): self._show_faults,
            (b"PUT", b"/simulator/faults"): self._set_faults,
            (b"DELETE", b"/simulator/faults"): self._clear_faults,
            (b"GET", b"/simulator/clock"): self._show_clock,
            (b"PUT", b"/simulator/clock"): self._set_clock,
        }

    def connection(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self, self._loop)

    async def close(self) -> None:
        """Commit and answer what waits for a commit, then close every connection and the database."""
        self._commit()
        for connection in list(self._connections):
            connection.close()
        for _ in range(100):
            if not self._connections:
                break
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        self._reading.shutdown()
        self._store.close()

    # What a connection asks

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def date(self) -> bytes:
        second = int(time.time() + self._offset)
        if second != self._date_second:
            self._date_second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date

    def ended(self, request: Request, status: int | None) -> None:
        if not _is_own(_path(request)):
            self._figures.end(status)
            action_id = self._action_ids_of_open.pop(id(request), None)
            if action_id is not None:
                self._open_of[action_id] -= 1
                if not self._open_of[action_id]:
                    del self._open_of[action_id]

    def receive(self, connection: Connection, request: Request) -> None:
        path = _path(request)
        if _is_own(path):
            self._receive_own(connection, request, path)
            return
        now = time.time()
        self._figures.begin(int(now))
        if path == b"/elsewhere":
            self._figures.strayed(request.authorization is not None)
            connection.conclude(_refusal(404, "Nobody should come here: it is where redirects point."))
        elif request.authorization != self._authorization:
            connection.conclude(_UNAUTHORIZED)
        elif path != b"/event":
            connection.conclude(_refusal(404, "There is nothing here; events go to /event."))
        elif request.method != b"POST":
            connection.conclude(_refusal(405, "Only POST is understood here.", b"Allow: POST\r\n"))
        else:
            self._receive_event(connection, request, now)

    # The endpoint

    def _receive_event(self, connection: Connection, request: Request, now: float) -> None:
        event = self._event(request)
        if isinstance(event, Reply):
            self._figures.malformed += 1
            connection.conclude(event, self._faults.meet(None) if self._faults else UNTOUCHED)
            return
        if event.action_id in self._open_of:
            self._figures.twice_at_once.append(event.action_id)
        self._open_of[event.action_id] += 1
        self._action_ids_of_open[id(request)] = event.action_id
        body = request.body or b""
        reply = Reply(200, body)
        verdict = self._faults.meet(event) if self._faults else UNTOUCHED
        if not verdict.store:
            connection.conclude(reply, verdict)
            return
        now_ms = int((now + self._offset) * 1000)
        event_name, action_id, timestamp_ms, value = event
        ignored = ignored_because(timestamp_ms, now_ms)
        self._to_commit.append(
            StoredEvent(now_ms, event_name, action_id, timestamp_ms, value, body, verdict.answer_status, verdict.name, ignored)
        )
        self._to_conclude.append((connection, reply, verdict))
        if len(self._to_commit) >= _COMMIT_AT:
            self._commit()
        elif self._commit_due is None:
            # Once whatever has arrived by now is read: under load that is a batch, and nobody waits for a timer.
            self._commit_due = self._loop.call_soon(self._commit)

    def _event(self, request: Request) -> Event | Reply:
        """The event of a request, or how it is refused."""
        if request.body is None:
            return _refusal(413, "The body is too large for an event.")
        if request.content_type != b"application/json" and not _is_json(request.content_type):
            return _refusal(415, "Content-Type must be application/json.")
        try:
            return parse_event(request.body, self._customer_id)
        except Malformed as error:
            return _refusal(400, str(error))

    def _commit(self) -> None:
        """Store what has gathered, and only then answer it."""
        if self._commit_due is not None:
            self._commit_due.cancel()
            self._commit_due = None
        if not self._to_commit:
            return
        events, self._to_commit = self._to_commit, []
        endings, self._to_conclude = self._to_conclude, []
        try:
            self._store.add(events)
        except sqlite3.Error as error:
            print(f"the simulator could not store {len(events)} events: {error}", file=sys.stderr, flush=True)
            for connection, _, _ in endings:
                connection.conclude(_refusal(500, "The simulator could not store the event."))
            return
        for connection, reply, verdict in endings:
            connection.conclude(reply, verdict)

    # Its own pages

    def _receive_own(self, connection: Connection, request: Request, path: bytes) -> None:
        page = self._own_pages.get((request.method, path))
        if path == b"/simulator/action_ids" and request.method == b"GET":
            connection.stream(self._action_ids(), b"text/plain; charset=utf-8")
        elif page is not None:
            connection.conclude_later(partial(self._answer, page, request))
        elif methods := [method for method, known in self._own_pages if known == path]:
            allow = b"Allow: %b\r\n" % b", ".join(methods)
            connection.conclude(_refusal(405, "Another method is needed here.", allow))
        else:
            connection.conclude(_refusal(404, "The simulator has no such page."))

    async def _answer(self, page: Callable[[Request], Coroutine[Any, Any, Reply]], request: Request) -> Reply:
        try:
            return await page(request)
        except (ValueError, FaultyConfiguration) as error:
            return _refusal(400, str(error))
        except sqlite3.Error as error:
            return _refusal(500, f"The simulator could not read its database: {error}.")

    async def _summary(self) -> dict[str, Any]:
        stored = await self._loop.run_in_executor(self._reading, self._reader.summary)
        return {**stored, **self._figures.as_json(), "clock_offset_seconds": self._offset}

    async def _show_page(self, request: Request) -> Reply:
        return Reply(200, as_page(await self._summary(), self._faults.as_json()).encode(), b"text/html; charset=utf-8")

    async def _show_summary(self, request: Request) -> Reply:
        return _json(await self._summary())

    async def _show_events(self, request: Request) -> Reply:
        asked = {name: values[-1] for name, values in parse_qs(request.target.partition(b"?")[2].decode()).items()}
        limit, offset = int(asked.get("limit", "100")), int(asked.get("offset", "0"))
        if not 0 <= limit <= MOST_EVENTS_READ or not 0 <= offset < 2**63:
            raise ValueError(f"limit must be from 0 to {MOST_EVENTS_READ}, offset not negative.")

        def read() -> Reply:
            return _json(self._reader.events(limit=limit, offset=offset, action_id=asked.get("action_id")))

        return await self._loop.run_in_executor(self._reading, read)

    async def _action_ids(self) -> AsyncGenerator[bytes, None]:
        chunks = self._reader.action_ids(_CHUNK)
        try:
            while chunk := await self._loop.run_in_executor(self._reading, next, chunks, None):
                yield "".join(f"{action_id.translate(_ESCAPES)}\t{count}\n" for action_id, count in chunk).encode()
        finally:
            self._reading.submit(chunks.close)

    async def _begin_anew(self, request: Request) -> Reply:
        self._commit()
        self._store.clear()
        self._figures = Figures(still_open=self._figures.open)
        return await self._show_summary(request)

    async def _show_faults(self, request: Request) -> Reply:
        return _json(self._faults.as_json())

    async def _set_faults(self, request: Request) -> Reply:
        self._faults = Faults(request.body or b"")
        return _json(self._faults.as_json())

    async def _clear_faults(self, request: Request) -> Reply:
        self._faults = Faults()
        return _json(self._faults.as_json())

    async def _show_clock(self, request: Request) -> Reply:
        return _json({"offset_seconds": self._offset})

    async def _set_clock(self, request: Request) -> Reply:
        told = json.loads(request.body or b"")
        offset = told.get("offset_seconds") if isinstance(told, dict) else None
        if not isinstance(offset, int | float) or not abs(offset) <= LARGEST_CLOCK_OFFSET_SECONDS:
            raise ValueError(f"offset_seconds must be a number, {LARGEST_CLOCK_OFFSET_SECONDS} at most.")
        self._offset = float(offset)
        return _json({"offset_seconds": self._offset})


def _path(request: Request) -> bytes:
    return request.target.partition(b"?")[0]


def _is_own(path: bytes) -> bool:
    return path in (b"/", b"/favicon.ico") or path.startswith(b"/simulator/")


def _is_json(content_type: bytes | None) -> bool:
    return content_type is not None and content_type.partition(b";")[0].strip().lower() == b"application/json"


def _json(data: object) -> Reply:
    return Reply(200, json.dumps(data).encode())


def _refusal(status: int, sentence: str, headers: bytes = b"") -> Reply:
    return Reply(status, json.dumps({"error": sentence}).encode(), headers=headers)


_UNAUTHORIZED = _refusal(401, "The token is missing, or is not this account's.", b"WWW-Authenticate: ApiKey\r\n")
