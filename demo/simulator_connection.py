"""One client's connection to the simulator: HTTP/1.1, kept alive, requests answered one after the other."""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from http import HTTPStatus
from time import monotonic
from typing import Any, NamedTuple, Protocol

from httptools import HttpParserError, HttpRequestParser

from demo.simulator_faults import (
    UNTOUCHED,
    DropAfter,
    DropBefore,
    DropInBody,
    Garbage,
    Huge,
    Mismatch,
    Redirect,
    Reordered,
    Stall,
    StallInBody,
    Status,
    Verdict,
)

LARGEST_BODY = 1024 * 1024
"""Bytes; of a larger one nothing is kept."""

GARBAGE = b"<html><body>It works!</body></html>"

_BODYLESS = frozenset({204, 304})
_CHUNK = bytes(64 * 1024).replace(b"\0", b" ")
_RESET = struct.pack("ii", 1, 0)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Request(NamedTuple):
    """A whole request; ``body`` is None if it was too large. Header values are as they came, None if not there.

    ``arrived_at`` is by ``time.monotonic``.
    """

    method: bytes
    target: bytes
    authorization: bytes | None
    content_type: bytes | None
    body: bytes | None
    keep_alive: bool
    arrived_at: float


class Reply(NamedTuple):
    """An answer; ``headers`` beyond those that every answer has, each a line with its end."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: bytes = b""


class Receiver(Protocol):
    """What a connection hands its requests to, and asks what it does not know itself."""

    def receive(self, connection: "Connection", request: Request) -> None:
        """Take a request, and end it by one of the connection's methods, now or later."""

    def ended(self, request: Request, status: int | None) -> None:
        """A request is over: answered with a status, or not, or not wholly (None)."""

    def date(self) -> bytes:
        """The date of an answer that goes out now (RFC 9110, 6.6.1)."""

    def opened(self, connection: "Connection") -> None:
        """A client has connected."""

    def closed(self, connection: "Connection") -> None:
        """The connection is no more."""


class Connection(asyncio.Protocol):
    """Hands on one request at a time; it ends by :meth:`conclude`, :meth:`conclude_later`, :meth:`stream`, or with the
    connection."""

    def __init__(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
        self._receiver = receiver
        self._loop = loop
        self._transport: Any = None
        self._parser = HttpRequestParser(self)
        self._requests: deque[Request] = deque()
        self._request: Request | None = None
        self._waiting: asyncio.Handle | asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.on_message_begin()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._receiver.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            if self._request is None:
                self._transport.write(self._head(Reply(400, b"", b"text/plain"), 0, close=True))
            self._transport.close()
            return
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._writable.set()
        self._requests.clear()
        self._end(None)
        self._receiver.closed(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # The parser's side

    def on_message_begin(self) -> None:
        self._target = b""
        self._authorization: bytes | None = None
        self._content_type: bytes | None = None
        self._body: bytes | None = b""

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"authorization":
            self._authorization = value
        elif name == b"content-type":
            self._content_type = value
        elif name == b"expect" and value.lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        if self._body is not None:
            self._body = self._body + part if len(self._body) + len(part) <= LARGEST_BODY else None

    def on_message_complete(self) -> None:
        parser = self._parser
        self._requests.append(
            Request(
                parser.get_method(),
                self._target,
                self._authorization,
                self._content_type,
                self._body,
                parser.should_keep_alive(),
                monotonic(),
            )
        )

    # The receiver's side

    def conclude(self, reply: Reply, verdict: Verdict = UNTOUCHED) -> None:
        """End the request with an answer, or as the verdict has it."""
        if verdict is UNTOUCHED:
            self._answer(reply)
        elif verdict.delay_seconds and self._request is not None:
            left = verdict.delay_seconds - (monotonic() - self._request.arrived_at)
            self._waiting = self._loop.call_later(max(left, 0.0), self._conclude, reply, verdict)
        else:
            self._conclude(reply, verdict)

    def conclude_later(self, work: Callable[[], Awaitable[Reply]]) -> None:
        """End the request with an answer that takes its time."""
        self._run(self._answer_later(work))

    def stream(self, parts: AsyncGenerator[bytes, None], content_type: bytes) -> None:
        """End the request with 200 and a body that is made while it goes out."""
        self._run(self._stream(parts, Reply(200, b"", content_type), None))

    def close(self) -> None:
        """Close the connection once what was written is out."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    # Its own

    def _next(self) -> None:
        if self._requests and self._request is None and not self._transport.is_closing():
            self._request = request = self._requests.popleft()
            self._receiver.receive(self, request)

    def _conclude(self, reply: Reply, verdict: Verdict) -> None:
        """What is left of the verdict once the delay is over."""
        if self._request is None:
            return
        close = verdict.close
        match verdict.ending:
            case None:
                self._answer(reply, close)
            case Status(status=status, retry_after=retry_after, body=body):
                header = b"" if retry_after is None else b"Retry-After: %b\r\n" % retry_after.encode()
                text = json.dumps({"error": f"The simulator was told to answer {status}."}) if body is None else body
                self._answer(Reply(status, text.encode(), headers=header), close)
            case Redirect(status=status):
                self._answer(Reply(status, b"", headers=b"Location: /elsewhere\r\n"), close)
            case Garbage():
                self._answer(Reply(200, GARBAGE, b"text/html"), close)
            case Mismatch(field=field):
                self._answer(changed(reply, field), close)
            case Reordered():
                self._answer(reordered(reply), close)
            case Huge(size=size, chunked=chunked):
                self._run(self._stream(_padding(size), Reply(200, b""), None if chunked else size, close))
            case DropBefore(reset=reset) | DropAfter(reset=reset):
                self._drop(reset)
            case DropInBody():
                self._begin(reply)
                self._transport.close()
                self._end(None)
            case Stall():
                pass
            case StallInBody():
                self._begin(reply)

    def _answer(self, reply: Reply, close: bool = False) -> None:
        request = self._request
        if request is None:
            return
        close = close or not request.keep_alive
        head = self._head(reply, len(reply.body), close)
        self._transport.write(head if request.method == b"HEAD" or reply.status in _BODYLESS else head + reply.body)
        if close:
            self._transport.close()
        self._end(reply.status)

    async def _answer_later(self, work: Callable[[], Awaitable[Reply]]) -> None:
        self._answer(await work())

    async def _stream(self, parts: AsyncGenerator[bytes, None], reply: Reply, size: int | None, close: bool = False) -> None:
        """Answer with parts of a body whose size is known, or, chunked, not."""
        close = close or (self._request is not None and not self._request.keep_alive)
        self._transport.write(self._head(reply, size, close))
        async with aclosing(parts):
            async for part in parts:
                self._transport.write(part if size is not None else b"%x\r\n%b\r\n" % (len(part), part))
                await asyncio.sleep(0)
                await self._writable.wait()
        if size is None:
            self._transport.write(b"0\r\n\r\n")
        if close:
            self._transport.close()
        self._end(reply.status)

    def _begin(self, reply: Reply) -> None:
        """Write the headers and half of the body."""
        self._transport.write(self._head(reply, len(reply.body)) + reply.body[: len(reply.body) // 2])

    def _drop(self, reset: bool) -> None:
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        self._end(None)

    def _end(self, status: int | None) -> None:
        """Account for the request, once, and go on to what the client sent meanwhile."""
        request = self._request
        if request is not None:
            self._request = None
            self._receiver.ended(request, status)
            if self._requests:
                self._loop.call_soon(self._next)

    def _head(self, reply: Reply, length: int | None, close: bool = False) -> bytes:
        """The status line and the headers; a body without a length is chunked."""
        return b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\n%b%b%b\r\n" % (
            reply.status,
            _REASONS.get(reply.status, b"Unknown"),
            self._receiver.date(),
            reply.content_type,
            _length(reply.status, length),
            reply.headers,
            b"Connection: close\r\n" if close else b"",
        )

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        task.add_done_callback(self._ran)
        self._waiting = task

    def _ran(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "The simulator failed at a request", "exception": error})
            self._transport.abort()


def _length(status: int, length: int | None) -> bytes:
    """The header that tells where the body ends (RFC 9110, 8.6: none with 204 and 304)."""
    if status in _BODYLESS:
        return b""
    return b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length


async def _padding(size: int) -> AsyncGenerator[bytes, None]:
    for begin in range(0, size, len(_CHUNK)):
        yield _CHUNK[: size - begin]


def changed(reply: Reply, field: str) -> Reply:
    """The echo of an event with one field changed; an answer that is no echo stays."""
    if reply.status != 200:
        return reply
    event = json.loads(reply.body)
    event[field] = event[field] + (1 if field == "actionTimestamp" else "-other")
    return reply._replace(body=json.dumps(event).encode())


def reordered(reply: Reply) -> Reply:
    """The same event, written in another way and with a field more; an answer that is no echo stays."""
    if reply.status != 200:
        return reply
    event = json.loads(reply.body)
    return reply._replace(body=json.dumps({"received": True, **dict(reversed(event.items()))}, indent=2).encode())
