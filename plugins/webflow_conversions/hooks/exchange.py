"""One exchange over HTTP, as the hooks make it: whose token, within which time, and how it broke."""

from time import monotonic

import requests

from webflow_conversions.delivery.settings import connect_timeout_seconds
from webflow_conversions.errors import first_line


def by_our_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The request with the header that it has. Without an ``auth``, requests puts the password of a ``.netrc`` in its place."""
    return request


def timeouts(timeout_seconds: float) -> tuple[float, float]:
    """Time limits in seconds: for connecting, and between two bytes of the answer."""
    return connect_timeout_seconds(timeout_seconds), timeout_seconds


def read_body(response: requests.Response, ends_at: float, largest: int) -> bytes:
    """The beginning of the body, as it came: it is more than ``largest`` bytes if the whole is.

    :param ends_at: by the monotonic clock.
    :raises OSError: if it does not come in time: the time-outs of requests begin anew with each byte.
    """
    received = b""
    while len(received) <= largest and (more := response.raw.read1(largest, decode_content=False)):
        received += more
        if monotonic() > ends_at:
            raise TimeoutError("the answer did not end in time: Read timed out")
    return received


def cause_of(error: BaseException) -> str:
    """The innermost message, without the request's own text around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return first_line(error)
