"""Single calls over the same wire as the push: the same certificates, proxies and words for what went wrong."""

from collections.abc import Mapping
from time import sleep

import pycurl

from webflow_conversions.delivery.answers import Answer
from webflow_conversions.transport.api import LARGEST_ANSWER
from webflow_conversions.transport.libcurl import Exchange, new_curl

_POLL_SECONDS = 0.05
"""Time between two looks at a request, in which signals are heard."""


class Caller:
    """One request after the other; connections are kept between them until :meth:`close`.

    :param timeout_seconds: for each request, from its start to the last byte of its answer.
    :param largest: the greatest size of an answer, in bytes.
    """

    def __init__(self, *, timeout_seconds: float, largest: int = LARGEST_ANSWER) -> None:
        self._timeout_seconds = timeout_seconds
        self._largest = largest
        self._multi = pycurl.CurlMulti()

    def close(self) -> None:
        """Close the connections."""
        self._multi.close()

    def call(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request, once.

        :param method: ``GET``, ``HEAD`` or ``POST``.
        """
        curl = new_curl(url, [f"{name}: {value}" for name, value in headers.items()], self._timeout_seconds)
        curl.setopt({"GET": pycurl.HTTPGET, "HEAD": pycurl.NOBODY, "POST": pycurl.POST}[method], 1)
        exchange = Exchange(curl)
        exchange.begin(0, body, lambda _: True, reuse=True, largest=self._largest)
        self._multi.add_handle(curl)
        try:
            code, message = self._end()
            return exchange.answer(code, message)
        finally:
            self._multi.remove_handle(curl)
            curl.close()

    def _end(self) -> tuple[int, str]:
        """The code of libcurl, and its words, when the request has ended."""
        while True:
            self._multi.perform()
            _, good, bad = self._multi.info_read()
            if good:
                return pycurl.E_OK, ""
            if bad:
                return bad[0][1], bad[0][2]
            if self._multi.select(_POLL_SECONDS) < 0:  # a name is looked up: there is no socket to wait for
                sleep(_POLL_SECONDS)
