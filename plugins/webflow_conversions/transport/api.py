"""The API's address, account and token from a connection of type ``webflow``, checked once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from webflow_conversions.errors import Unusable
from webflow_conversions.rules.credentials import is_number, is_placeholder, is_printable, is_site_id, pasted, pasted_token
from webflow_conversions.rules.personal_data import has_email

DEFAULT_HOST = "https://log.intellimize.co"
PATH = "/event"

LARGEST_ANSWER = 64 * 1024
"""Greatest size of an answer, in bytes; an echo has some hundred. The answer to a large event may have twice its size."""

_PUT_CUSTOMER_ID = "put your Analyze/Optimize account ID into its Customer ID field, from the code preview snippet"
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A destination: its URL, the account and the token; at most ``concurrency`` requests at once from each push."""

    url: str
    customer_id: str
    token: str = field(repr=False)
    concurrency: int = 32
    requests_per_second: float | None = None
    timeout_seconds: float = 30.0

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request (docs/webflow-api.md, The request)."""
        return {"Authorization": f"ApiKey {self.token}", "Content-Type": "application/json"}

    @classmethod
    def parse(
        cls,
        connection: str,
        *,
        host: str | None,
        port: int | None,
        schema: str | None,
        login: str | None,
        password: str | None,
        extra: Mapping[str, Any],
    ) -> "Api":
        """The destination of a connection's fields.

        :raises Unusable: if one is missing or wrong, or the token would cross a network unencrypted.
        """
        customer_id, token = pasted(login), pasted_token(password)
        if not customer_id:
            raise Unusable(f"Connection {connection} has no customer ID: {_PUT_CUSTOMER_ID}.")
        if not token:
            raise Unusable(f"Connection {connection} has no token: put the one from Insights > Tracking settings there.")
        _refuse_mixed_up(connection, customer_id, token)
        if not is_printable(token + customer_id):
            raise Unusable(
                f"Token or customer ID of connection {connection} hold a space or a character that neither has: paste it anew."
            )
        url = address(connection, host, port, schema, DEFAULT_HOST)
        if urlsplit(url).hostname == "api.webflow.com":
            raise Unusable(f"The host of connection {connection} is the Data API's: put {DEFAULT_HOST} there, or leave it empty.")
        refuse_in_clear(connection, url, extra)
        return cls(
            url=_with_path(url),
            customer_id=customer_id,
            token=token,
            concurrency=int(number(connection, extra, "concurrency", 32, least=1, most=1_000)),
            requests_per_second=number(connection, extra, "requests_per_second", None, least=0.1, most=1e6),
            timeout_seconds=number(connection, extra, "timeout_seconds", 30.0, least=0.5, most=300) or 30.0,
        )


def _refuse_mixed_up(connection: str, customer_id: str, token: str) -> None:
    if is_number(token) and not is_number(customer_id):
        raise Unusable(
            f"Customer ID and token of connection {connection} look swapped: a customer ID is a number, a token is not; "
            "exchange them."
        )
    if is_placeholder(customer_id) or is_placeholder(token):
        raise Unusable(
            f"Customer ID or token of connection {connection} is a placeholder, such as *** or ${{TOKEN}}: paste the value."
        )
    if has_email(customer_id):
        raise Unusable(f"Connection {connection} has an e-mail address as customer ID: {_PUT_CUSTOMER_ID}.")
    if is_site_id(customer_id):
        raise Unusable(f"Connection {connection} has a site ID as customer ID: {_PUT_CUSTOMER_ID}.")
    if customer_id == token:
        raise Unusable(
            f"Connection {connection} has its customer ID as token, too: put the token from Insights > Tracking settings there."
        )


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own."""
    return urlsplit(url).hostname in _LOOPBACK


def refuse_in_clear(connection: str, url: str, extra: Mapping[str, Any]) -> None:
    """Refuse an address over which the token would cross a network unencrypted, unless the extra ``allow_http`` is true.

    :raises Unusable: if it would, or ``allow_http`` is neither true nor false.
    """
    allowed = _TRUTHS.get(str(extra.get("allow_http") or "false").lower())
    if allowed is None:
        raise Unusable(f"allow_http of connection {connection} is {extra['allow_http']!r}: set true or false.")
    if urlsplit(url).scheme == "http" and not is_loopback(url) and not allowed:
        raise Unusable(
            f"Connection {connection} would send its token unencrypted to {url}: use an address with https://, or set "
            "allow_http to true in its extra."
        )


def address(connection: str, host: str | None, port: int | None, schema: str | None, default: str) -> str:
    """The address of a connection's fields, without a slash at its end.

    :raises Unusable: if the host is no address, or holds a login.
    """
    text = (host or "").strip() or default
    if "@" in text:
        raise Unusable(
            f"The host of connection {connection} holds a login or a token: put them into the fields that are for them."
        )
    try:
        url = parse_url(text if "://" in text else f"{schema or 'https'}://{text}")
    except LocationParseError:
        url = Url()
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.host or "") or url.query or url.fragment:
        raise Unusable(f"The host of connection {connection} is {text!r}, which is no address such as {default}.")
    netloc = f"{url.host}:{url.port or port}" if url.port or port else str(url.host)
    return f"{url.scheme}://{netloc}{(url.path or '').rstrip('/')}"


def _with_path(url: str) -> str:
    return url if url.endswith(PATH) else url + PATH


def number(connection: str, extra: Mapping[str, Any], name: str, default: float | None, *, least: float, most: float) -> Any:
    """The number in an extra of a connection.

    :raises Unusable: if it is none, or not in the range.
    """
    given = extra.get(name)
    if given is None or given == "":
        return default
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if isinstance(given, bool) or not least <= value <= most or (name == "concurrency" and value != int(value)):
        raise Unusable(f"{name} of connection {connection} is {given!r}: set a number from {least:g} to {most:g}.")
    return value
