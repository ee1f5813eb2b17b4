"""The wire: libcurl's multi interface, through pycurl.

Connections are kept alive and reused, certificates verified, redirects not followed (they would carry the token
elsewhere), proxies taken from the environment as curl understands it.
"""

import os
import re
from collections.abc import Callable, Collection
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep

import certifi
import pycurl

from webflow_conversions.delivery.answers import Answer, Trouble
from webflow_conversions.delivery.settings import connect_timeout_seconds
from webflow_conversions.transport.api import LARGEST_ANSWER, is_loopback

BROKEN_IN_A_ROW = 3
"""Reused connections that may break one after another; then none is reused, since the server closes them unannounced."""

_UNTRUSTED = frozenset({pycurl.E_SSL_CACERT, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE})

_LOGIN = re.compile(r"'.*@.*'|\S*@\S*")
"""An address with a login, in libcurl's words."""


def certificates() -> tuple[str, str]:
    """The file or directories of trusted certificates, which may be missing, and who names them.

    That is the environment, by the first variable that curl, OpenSSL or requests know and that is set; else certifi.
    """
    for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"):
        if path := os.environ.get(variable):
            return path, variable
    return certifi.where(), "certifi"


def _trust(curl: pycurl.Curl) -> None:
    """Verify the API, and a proxy that is spoken to over TLS, by the same certificates."""
    path, _ = certificates()
    is_directory = any(Path(part).is_dir() for part in path.split(os.pathsep))
    for file, directory in ((pycurl.CAINFO, pycurl.CAPATH), (pycurl.PROXY_CAINFO, pycurl.PROXY_CAPATH)):
        if is_directory:
            curl.unsetopt(file)
        curl.setopt(directory if is_directory else file, path)


def new_curl(url: str, headers: list[str], timeout_seconds: float) -> pycurl.Curl:
    """A handle for requests to a URL, without a method.

    :param headers: one ``Name: value`` each.
    :param timeout_seconds: for a request from its start to the last byte of its answer.
    """
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.HTTPHEADER, [*headers, "Expect:"])
    # HTTP/2 was measured at 0.6 times the rate, and multiplexing lets one broken connection put many rows in doubt.
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    if url.startswith("http:") and is_loopback(url):  # A proxy would read what was to stay on this machine.
        curl.setopt(pycurl.NOPROXY, "*")
    _trust(curl)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.TCP_KEEPALIVE, 1)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(connect_timeout_seconds(timeout_seconds) * 1000))
    curl.setopt(pycurl.TIMEOUT_MS, int(timeout_seconds * 1000))
    return curl


class CurlTransport:
    """POSTs JSON documents to one URL, any number at once, in the caller's thread.

    :param headers: one ``Name: value`` each.
    :param most: how many requests may be out at once; connections beyond are not kept.
    """

    def __init__(self, url: str, headers: list[str], *, most: int, timeout_seconds: float) -> None:
        self._url = url
        self._headers = headers
        self._timeout_seconds = timeout_seconds
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, most)
        self._idle: list[Exchange] = []
        self._out: dict[pycurl.Curl, Exchange] = {}
        self._broken_in_a_row = 0

    @property
    def in_flight(self) -> int:
        """The number of requests without an answer."""
        return len(self._out)

    def send(self, tag: int, body: bytes, may_leave: Callable[[int], bool]) -> None:
        """Start a request; it moves on whenever :meth:`poll` is called, which asks ``may_leave`` once the connection is there."""
        exchange = self._idle.pop() if self._idle else self._exchange()
        exchange.begin(tag, body, may_leave, reuse=self._broken_in_a_row < BROKEN_IN_A_ROW)
        self._out[exchange.curl] = exchange
        self._multi.add_handle(exchange.curl)

    def poll(self, wait_seconds: float) -> list[tuple[int, Answer]]:
        """The requests that ended; waits at most this long if there is none."""
        self._multi.perform()
        ended = self._ended()
        if not ended and self._out and wait_seconds > 0:
            began = monotonic()
            if self._multi.select(wait_seconds) <= 0:
                # At once, if there is nothing that select() can watch: a name is looked up, or the socket's number is over 1,023.
                sleep(max(began + wait_seconds - monotonic(), 0.0))
            self._multi.perform()
            ended = self._ended()
        return ended

    def drop(self, tags: Collection[int]) -> None:
        """Break these requests off, and their connections."""
        for curl in [curl for curl, exchange in self._out.items() if exchange.tag in tags]:
            del self._out[curl]
            self._multi.remove_handle(curl)
            curl.close()

    def close(self) -> None:
        """Drop all requests and connections. A running look-up of a name delays the return until the name server answers."""
        for curl in list(self._out):
            self._multi.remove_handle(curl)
            curl.close()
        self._out.clear()
        for exchange in self._idle:
            exchange.curl.close()
        self._idle.clear()
        self._multi.close()

    def _ended(self) -> list[tuple[int, Answer]]:
        ended: list[tuple[int, Answer]] = []
        more = 1
        while more:
            more, good, bad = self._multi.info_read()
            for curl in good:
                ended.append(self._take_in(curl, pycurl.E_OK, ""))
            for curl, code, message in bad:
                ended.append(self._take_in(curl, code, message))
        return ended

    def _take_in(self, curl: pycurl.Curl, code: int, message: str) -> tuple[int, Answer]:
        exchange = self._out.pop(curl)
        self._multi.remove_handle(curl)
        result = exchange.tag, exchange.answer(code, message)
        if exchange.was_broken_reuse(code):
            self._broken_in_a_row += 1
        elif 0 < self._broken_in_a_row < BROKEN_IN_A_ROW and code == pycurl.E_OK and curl.getinfo(pycurl.NUM_CONNECTS) == 0:
            self._broken_in_a_row = 0
        self._idle.append(exchange)
        return result

    def _exchange(self) -> "Exchange":
        curl = new_curl(self._url, self._headers, self._timeout_seconds)
        curl.setopt(pycurl.POST, 1)
        return Exchange(curl)


class Exchange:
    """One handle, used again and again."""

    def __init__(self, curl: pycurl.Curl) -> None:
        self.curl = curl
        self.tag = 0
        self._received = BytesIO()
        self._headers: list[bytes] = []
        self._has_left = False
        curl.setopt(pycurl.PREREQFUNCTION, self._before)

    def begin(
        self, tag: int, body: bytes, may_leave: Callable[[int], bool], *, reuse: bool, largest: int = LARGEST_ANSWER
    ) -> None:
        """Prepare the next request.

        :param largest: the greatest size of its answer, in bytes, or twice the size of the body.
        """
        self.tag = tag
        self._may_leave = may_leave
        self._has_left = False
        self._received = BytesIO()
        self._headers = []
        # The body comes from a stream that cannot be wound back, on purpose: given the bytes, libcurl repeats a POST by
        # itself when a reused connection breaks before an answer, and the event would be out twice unknown to us.
        self.curl.setopt(pycurl.READFUNCTION, BytesIO(body).read)
        self.curl.setopt(pycurl.POSTFIELDSIZE, len(body))
        self.curl.setopt(pycurl.MAXFILESIZE, max(largest, 2 * len(body)))
        self.curl.setopt(pycurl.WRITEFUNCTION, self._received.write)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._headers.append)
        if not reuse:
            self.curl.setopt(pycurl.FORBID_REUSE, 1)

    def answer(self, code: int, message: str) -> Answer:
        """What came of the request, by libcurl's code and words."""
        curl = self.curl
        status = curl.getinfo(pycurl.RESPONSE_CODE) or None
        return Answer(
            status=status,
            body=self._received.getvalue(),
            headers=self._headers,
            trouble=None if code == pycurl.E_OK else self._trouble(code),
            detail="" if code == pycurl.E_OK else _in_words(code, message),
            seconds=curl.getinfo(pycurl.TOTAL_TIME),
        )

    def was_broken_reuse(self, code: int) -> bool:
        """Whether it left over a connection that was there before, and libcurl would have repeated it over another."""
        return code == pycurl.E_SEND_FAIL_REWIND or (code == pycurl.E_ABORTED_BY_CALLBACK and self._has_left)

    def _before(self, *_: object) -> int:
        if self._has_left:  # libcurl is about to repeat the request over another connection: that is not for it to decide
            return int(pycurl.PREREQFUNC_ABORT)
        self._has_left = self._may_leave(self.tag)
        return int(pycurl.PREREQFUNC_OK if self._has_left else pycurl.PREREQFUNC_ABORT)

    def _trouble(self, code: int) -> Trouble:
        if code in _UNTRUSTED:
            return Trouble.UNTRUSTED
        if code == pycurl.E_FILESIZE_EXCEEDED:
            return Trouble.TOO_LARGE
        if self._has_left:
            return Trouble.LOST
        return Trouble.WITHHELD if code == pycurl.E_ABORTED_BY_CALLBACK else Trouble.UNSENT


def _in_words(code: int, message: str) -> str:
    """libcurl's code and words, without the login that a proxy's address may hold."""
    if code == pycurl.E_SSL_CACERT_BADFILE:
        path, variable = certificates()
        return f"curl {code}: {variable} names {path}, where no certificates are"
    return f"curl {code}: {_LOGIN.sub('…', message)}" if message else f"curl {code}"
