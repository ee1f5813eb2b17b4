"""HTTP requests, and their reader."""

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from httptools import HttpRequestParser

LARGEST_BODY = 1024 * 1024
"""Bytes of a body that is kept; a larger one is dropped whole."""


class Request(NamedTuple):
    """A complete request. Header values are as received, None for a missing header.

    ``body`` is None if it was too large; ``arrived_at`` is a time of ``time.monotonic``.
    """

    method: bytes
    target: bytes
    authorization: bytes | None
    content_type: bytes | None
    body: bytes | None
    keep_alive: bool
    arrived_at: float

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]


class RequestReader:
    """Reads the requests of one connection.

    :param take: receives each complete request.
    :param write: sends bytes to the client, for ``100 Continue``.
    """

    def __init__(self, take: Callable[[Request], None], write: Callable[[bytes], None]) -> None:
        self._take = take
        self._write = write
        self._parser = HttpRequestParser(self)
        self.on_message_begin()

    def feed(self, data: bytes) -> None:
        """Read received bytes.

        :raises httptools.HttpParserError: they are not HTTP.
        """
        self._parser.feed_data(data)

    # Callbacks of the parser

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
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        if self._body is not None:
            self._body = self._body + part if len(self._body) + len(part) <= LARGEST_BODY else None

    def on_message_complete(self) -> None:
        parser = self._parser
        self._take(
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
