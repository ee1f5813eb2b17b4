"""HTTP answers: the usual ones, those of faults, and their bytes on the wire."""

import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import NamedTuple

_BODYLESS = frozenset({204, 304})
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_CHUNK = bytes(64 * 1024).replace(b"\0", b" ")


class Reply(NamedTuple):
    """An answer. ``headers`` are additional header lines, each with its line end."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: bytes = b""

    @property
    def has_body(self) -> bool:
        """Whether an answer with this status has a body (RFC 9110, 8.6: none with 204 and 304)."""
        return self.status not in _BODYLESS

    def head(self, date: bytes, length: int | None, *, close: bool = False) -> bytes:
        """The status line and the headers; a body of unknown length (None) is chunked."""
        return b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\n%b%b%b\r\n" % (
            self.status,
            _REASONS.get(self.status, b"Unknown"),
            date,
            self.content_type,
            self._length_header(length),
            self.headers,
            b"Connection: close\r\n" if close else b"",
        )

    def _length_header(self, length: int | None) -> bytes:
        if not self.has_body:
            return b""
        return b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length


GARBAGE = Reply(200, b"<html><body>It works!</body></html>", b"text/html")
"""A success whose body is no JSON."""


def json_reply(data: object) -> Reply:
    """200 with data as JSON."""
    return Reply(200, json.dumps(data).encode())


def refusal(status: int, sentence: str, headers: bytes = b"") -> Reply:
    """An error with its reason as JSON."""
    return Reply(status, json.dumps({"error": sentence}).encode(), headers=headers)


def not_allowed(sentence: str, *methods: bytes) -> Reply:
    """405 with the methods that are allowed."""
    return refusal(405, sentence, b"Allow: %b\r\n" % b", ".join(methods))


def no_page(*methods: bytes) -> Reply:
    """The answer to a request for a page that is not there, or that takes other methods."""
    if methods:
        return not_allowed("Another method is needed here.", *methods)
    return refusal(404, "The simulator has no such page.")


def changed(reply: Reply, field: str) -> Reply:
    """The echo of an event with one field changed; a reply other than 200 is returned as it is."""
    if reply.status != 200:
        return reply
    event = json.loads(reply.body)
    event[field] = event[field] + (1 if field == "actionTimestamp" else "-other")
    return reply._replace(body=json.dumps(event).encode())


def reordered(reply: Reply) -> Reply:
    """The echo of an event with reordered fields and an additional one; a reply other than 200 is returned as it is."""
    if reply.status != 200:
        return reply
    event = json.loads(reply.body)
    return reply._replace(body=json.dumps({"received": True, **dict(reversed(event.items()))}, indent=2).encode())


async def padding(size: int) -> AsyncGenerator[bytes, None]:
    """A body of this many bytes, in parts."""
    for begin in range(0, size, len(_CHUNK)):
        yield _CHUNK[: size - begin]
