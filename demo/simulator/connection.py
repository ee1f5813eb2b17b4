"""One client's connection: HTTP/1.1, kept alive, requests answered one after the other."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from time import monotonic
from typing import Any, Protocol

from httptools import HttpParserError

from demo.simulator.faults import UNTOUCHED, Verdict
from demo.simulator.reply import GARBAGE, Reply, changed, padding, refusal, reordered
from demo.simulator.request import Request, RequestReader
from demo.simulator.rule import (
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
)

_RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER that makes the socket end with a reset."""


class Receiver(Protocol):
    """The server as a connection sees it."""

    def receive(self, connection: "Connection", request: Request) -> None:
        """Handle a request, and end it with a method of the connection, now or later."""

    def ended(self, request: Request, status: int | None) -> None:
        """A request has ended, with the status of its answer; None without a complete answer."""

    def date(self) -> bytes:
        """Value of the ``Date`` header of an answer that is sent now."""

    def opened(self, connection: "Connection") -> None:
        """A client has connected."""

    def closed(self, connection: "Connection") -> None:
        """A connection has ended."""


class Connection(asyncio.Protocol):
    """Passes one request at a time to the receiver.

    A request ends with :meth:`conclude`, :meth:`conclude_later` or :meth:`stream`, or with the connection.
    """

    def __init__(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
        self._receiver = receiver
        self._loop = loop
        self._transport: Any = None
        self._requests: deque[Request] = deque()
        self._request: Request | None = None
        self._waiting: asyncio.Handle | asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._reader = RequestReader(self._requests.append, self._transport.write)
        self._receiver.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except HttpParserError:
            if self._request is None:
                self._transport.write(Reply(400, b"", b"text/plain").head(self._receiver.date(), 0, close=True))
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

    # How the receiver ends a request

    def conclude(self, reply: Reply, verdict: Verdict = UNTOUCHED) -> None:
        """End the request with an answer, or as a verdict says."""
        if verdict is UNTOUCHED:
            self._answer(reply)
        elif verdict.delay_seconds and self._request is not None:
            left = verdict.delay_seconds - (monotonic() - self._request.arrived_at)
            self._waiting = self._loop.call_later(max(left, 0.0), self._conclude, reply, verdict)
        else:
            self._conclude(reply, verdict)

    def conclude_later(self, work: Callable[[], Awaitable[Reply]]) -> None:
        """End the request with the answer of a coroutine."""
        self._run(self._answer_later(work))

    def stream(self, parts: AsyncGenerator[bytes, None], content_type: bytes) -> None:
        """End the request with 200 and a chunked body, each part sent when it is made."""
        self._run(self._stream(parts, Reply(200, b"", content_type), None))

    def close(self) -> None:
        """Close the connection after sending what was written."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    # Internals

    def _next(self) -> None:
        if self._requests and self._request is None and not self._transport.is_closing():
            self._request = request = self._requests.popleft()
            self._receiver.receive(self, request)

    def _conclude(self, reply: Reply, verdict: Verdict) -> None:
        """Carry out a verdict whose delay is over."""
        if self._request is None:
            return
        close = verdict.close
        match verdict.ending:
            case None:
                self._answer(reply, close)
            case Status(status=status, retry_after=retry_after, body=body):
                header = b"" if retry_after is None else b"Retry-After: %b\r\n" % retry_after.encode()
                told = refusal(status, f"The simulator was told to answer {status}.", header)
                self._answer(told if body is None else told._replace(body=body.encode()), close)
            case Redirect(status=status):
                self._answer(Reply(status, b"", headers=b"Location: /elsewhere\r\n"), close)
            case Garbage():
                self._answer(GARBAGE, close)
            case Mismatch(field=field):
                self._answer(changed(reply, field), close)
            case Reordered():
                self._answer(reordered(reply), close)
            case Huge(size=size, chunked=chunked):
                self._run(self._stream(padding(size), Reply(200, b""), None if chunked else size, close))
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
        head = reply.head(self._receiver.date(), len(reply.body), close=close)
        self._transport.write(head + reply.body if request.method != b"HEAD" and reply.has_body else head)
        if close:
            self._transport.close()
        self._end(reply.status)

    async def _answer_later(self, work: Callable[[], Awaitable[Reply]]) -> None:
        self._answer(await work())

    async def _stream(self, parts: AsyncGenerator[bytes, None], reply: Reply, size: int | None, close: bool = False) -> None:
        """Answer with the parts of a body; a body of unknown size (None) is chunked."""
        close = close or (self._request is not None and not self._request.keep_alive)
        self._transport.write(reply.head(self._receiver.date(), size, close=close))
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
        head = reply.head(self._receiver.date(), len(reply.body))
        self._transport.write(head + reply.body[: len(reply.body) // 2])

    def _drop(self, reset: bool) -> None:
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        self._end(None)

    def _end(self, status: int | None) -> None:
        """Report the end of the request once, and go on to the next request that was received."""
        request = self._request
        if request is not None:
            self._request = None
            self._receiver.ended(request, status)
            if self._requests:
                self._loop.call_soon(self._next)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        task.add_done_callback(self._ran)
        self._waiting = task

    def _ran(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "The simulator failed at a request", "exception": error})
            self._transport.abort()
