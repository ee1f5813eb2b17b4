"""The Data API's address, site and token from a connection of type ``webflow_data``, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from webflow_conversions.errors import Unusable
from webflow_conversions.rules.credentials import is_number, is_placeholder, is_printable, is_site_id, pasted, pasted_token
from webflow_conversions.transport.api import address, number, refuse_in_clear

DEFAULT_HOST = "https://api.webflow.com"
VERSION = "/v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataApi:
    """A site of the Data API: the address of its Analyze reports, and the token that may read them."""

    connection: str
    url: str
    token: str = field(repr=False)
    timeout_seconds: float = 30.0

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request (docs/webflow-api.md, Analyze and Optimize APIs)."""
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "Accept-Encoding": "identity"}

    @classmethod
    def parse(
        cls,
        connection: str,
        *,
        host: str | None,
        port: int | None,
        schema: str | None,
        password: str | None,
        extra: Mapping[str, Any],
    ) -> "DataApi":
        """The site of a connection's fields.

        :raises Unusable: if one is missing or wrong, or the token would cross a network unencrypted.
        """
        token, site_id = pasted_token(password), pasted(extra.get("site_id"))
        if not token:
            raise Unusable(f"Connection {connection} has no token: put an API token with the scope sites:read there.")
        if is_site_id(token) and not is_site_id(site_id):
            raise Unusable(
                f"The token of connection {connection} is a site ID: put that into its Site ID field, an API token in its place."
            )
        if is_placeholder(token):
            raise Unusable(
                f"The token of connection {connection} is a placeholder, such as *** or ${{TOKEN}}: paste the token itself."
            )
        if not is_printable(token):
            raise Unusable(f"The token of connection {connection} holds a space or a character that none has: paste it anew.")
        if not site_id.isascii() or not site_id.isalnum():
            raise Unusable(
                f"Connection {connection} has no site ID, or one that is none: put the ID from Site settings > General there."
            )
        if is_number(site_id) and not is_site_id(site_id):
            raise Unusable(
                f"The site ID of connection {connection} is a number, as customer IDs are: put the ID from Site settings > "
                "General there."
            )
        url = address(connection, host, port, schema, DEFAULT_HOST)
        if urlsplit(url).hostname == "log.intellimize.co":
            raise Unusable(
                f"The host of connection {connection} is the conversions API's: put {DEFAULT_HOST} there, or leave it empty."
            )
        refuse_in_clear(connection, url, extra)
        version = "" if url.endswith(VERSION) else VERSION
        return cls(
            connection=connection,
            url=f"{url}{version}/sites/{site_id}/analyze",
            token=token,
            timeout_seconds=number(connection, extra, "timeout_seconds", 30.0, least=0.5, most=300) or 30.0,
        )
