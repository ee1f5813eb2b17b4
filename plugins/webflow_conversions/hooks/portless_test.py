"""Makes *Test* of a connection without a port reach its hook.

Airflow's UI asks for a test with the port 0 where the connection has none. Airflow 3.3.1 and 3.3.2 take that for another
destination than the stored one, and answer 400 before any hook is called; apache/airflow#73298 mends it for later releases.
Here the port 0 and no port mean the same, too. ``webflow_conversions.plugin`` puts the middleware before Airflow's API.
"""

import json
from typing import Any

_PATH = "/api/v2/connections/test"
_TYPES = frozenset({"webflow", "webflow_data"})
_LARGEST = 64 * 1024
"""Greatest size of a request that is looked into, in bytes; a form has a few hundred."""


class PortlessTest:
    """ASGI middleware: in a request for a test of our types, the port 0 becomes no port. All other requests pass as they are."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(_PATH):
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        body = messages[0].get("body", b"")
        while messages[-1].get("more_body") and len(body) <= _LARGEST:
            messages.append(await receive())
            body += messages[-1].get("body", b"")
        if messages[-1]["type"] == "http.request" and not messages[-1].get("more_body") and len(body) <= _LARGEST:
            body = _without_port_0(body)
            scope = {**scope, "headers": [_with_length(name, value, len(body)) for name, value in scope["headers"]]}
            messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Any:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replay, send)


def _without_port_0(body: bytes) -> bytes:
    """The request's document with null for the port 0, if it is one of ours; else the body as it came."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(asked, dict) or asked.get("conn_type") not in _TYPES or asked.get("port") != 0:
        return body
    return json.dumps({**asked, "port": None}).encode()


def _with_length(name: bytes, value: bytes, length: int) -> tuple[bytes, bytes]:
    return (name, str(length).encode()) if name.lower() == b"content-length" else (name, value)
