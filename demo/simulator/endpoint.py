"""``POST /event`` of one account.

Decisions that the contract leaves open: a request without the token is answered 401 before anything else is checked;
another path 404, another method 405, more than a megabyte 413, another content type 415, a body that is no event 400.
A second event with the same ``actionId`` is stored again.

An event is committed before its answer is sent; events that arrive together are committed together.
"""

import asyncio
import sqlite3
import sys
import time
from collections import Counter

from demo.simulator.clock import Clock
from demo.simulator.connection import Connection
from demo.simulator.counts import RequestCounts
from demo.simulator.event import Event, Malformed, ignored_because, parse_event
from demo.simulator.faults import UNTOUCHED, Faults, Verdict
from demo.simulator.reply import Reply, not_allowed, refusal
from demo.simulator.request import Request
from demo.simulator.store import EventStore, StoredEvent

_COMMIT_AT = 500
"""Waiting events that are committed without waiting for more."""

_UNAUTHORIZED = refusal(401, "The token is missing, or is not this account's.", b"WWW-Authenticate: ApiKey\r\n")


class Endpoint:
    """The endpoint, with its faults in force and its counts of requests."""

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        faults: Faults,
        token: str,
        customer_id: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.faults = faults
        self.counts = RequestCounts()
        self._store = store
        self._clock = clock
        self._authorization = f"ApiKey {token}".encode()
        self._customer_id = customer_id
        self._loop = loop
        self._action_ids_of_open: dict[int, str] = {}
        self._open_of = Counter[str]()
        self._to_commit: list[StoredEvent] = []
        self._to_conclude: list[tuple[Connection, Reply, Verdict]] = []
        self._commit_due: asyncio.Handle | None = None

    def receive(self, connection: Connection, request: Request, path: bytes) -> None:
        """Handle a request for any path but those of the simulator's own pages."""
        now = time.time()
        self.counts.begin(int(now))
        if path == b"/elsewhere":
            self.counts.redirected(request.authorization is not None)
            connection.conclude(refusal(404, "Nobody should come here: it is where redirects point."))
        elif request.authorization != self._authorization:
            connection.conclude(_UNAUTHORIZED)
        elif path != b"/event":
            connection.conclude(refusal(404, "There is nothing here; events go to /event."))
        elif request.method != b"POST":
            connection.conclude(not_allowed("Only POST is understood here.", b"POST"))
        else:
            self._receive_event(connection, request, now)

    def ended(self, request: Request, status: int | None) -> None:
        """Count the end of a request, with the status of its answer; None without a complete answer."""
        self.counts.end(status)
        action_id = self._action_ids_of_open.pop(id(request), None)
        if action_id is not None:
            self._open_of[action_id] -= 1
            if not self._open_of[action_id]:
                del self._open_of[action_id]

    def commit(self) -> None:
        """Store the waiting events, and then answer them."""
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
                connection.conclude(refusal(500, "The simulator could not store the event."))
            return
        for connection, reply, verdict in endings:
            connection.conclude(reply, verdict)

    def clear(self) -> None:
        """Delete the events and reset the counts."""
        self.commit()
        self._store.clear()
        self.counts = RequestCounts(still_open=self.counts.open)

    def _receive_event(self, connection: Connection, request: Request, now: float) -> None:
        event = self._event(request)
        if isinstance(event, Reply):
            self.counts.malformed += 1
            connection.conclude(event, self.faults.meet(None) if self.faults else UNTOUCHED)
            return
        if event.action_id in self._open_of:
            self.counts.twice_at_once.append(event.action_id)
        self._open_of[event.action_id] += 1
        self._action_ids_of_open[id(request)] = event.action_id
        body = request.body or b""
        reply = Reply(200, body)
        verdict = self.faults.meet(event) if self.faults else UNTOUCHED
        if not verdict.store:
            connection.conclude(reply, verdict)
            return
        now_ms = self._clock.milliseconds(now)
        event_name, action_id, timestamp_ms, value = event
        ignored = ignored_because(timestamp_ms, now_ms)
        self._to_commit.append(
            StoredEvent(now_ms, event_name, action_id, timestamp_ms, value, body, verdict.answer_status, verdict.name, ignored)
        )
        self._to_conclude.append((connection, reply, verdict))
        if len(self._to_commit) >= _COMMIT_AT:
            self.commit()
        elif self._commit_due is None:
            # Runs after all received data is read: under load that makes a batch, and no request waits for a timer.
            self._commit_due = self._loop.call_soon(self.commit)

    def _event(self, request: Request) -> Event | Reply:
        """The event of a request, or its refusal."""
        if request.body is None:
            return refusal(413, "The body is too large for an event.")
        if request.content_type != b"application/json" and not _is_json(request.content_type):
            return refusal(415, "Content-Type must be application/json.")
        try:
            return parse_event(request.body, self._customer_id)
        except Malformed as error:
            return refusal(400, str(error))


def _is_json(content_type: bytes | None) -> bool:
    return content_type is not None and content_type.partition(b";")[0].strip().lower() == b"application/json"
