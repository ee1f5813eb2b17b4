"""Airflow's form asks for a test with port 0 where there is none; for our types, and for no other request, none is passed on."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from webflow_conversions.hooks.portless_test import PortlessTest

PATH = "/api/v2/connections/test"
ASKED = {"conn_type": "webflow", "connection_id": "webflow_default", "host": "", "password": "***", "port": 0}


def passed_on(parts: Sequence[bytes], *, path: str = PATH, method: str = "POST", kind: str = "http") -> tuple[bytes, int]:
    """The body that an application behind the middleware gets of these parts, and the length that its header says."""
    got: list[Any] = []
    given = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]

    async def application(scope: Any, receive: Any, _: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        got.append((body, int(dict(scope["headers"])[b"content-length"])))

    async def receive() -> Any:
        return given.pop(0)

    scope = {"type": kind, "method": method, "path": path, "headers": [(b"content-length", b"%d" % sum(map(len, parts)))]}
    asyncio.run(PortlessTest(application)(scope, receive, None))
    return got[0]


@pytest.mark.parametrize("kind", ["webflow", "webflow_data"])
@pytest.mark.parametrize("path", [PATH, f"/airflow{PATH}"])
def test_port_0_of_our_types_is_no_port(kind: str, path: str) -> None:
    body = json.dumps({**ASKED, "conn_type": kind}).encode()
    for parts in ([body], [body[:10], body[10:40], body[40:]], [b"", body]):
        got, length = passed_on(parts, path=path)
        assert json.loads(got) == {**ASKED, "conn_type": kind, "port": None}
        assert length == len(got)


@pytest.mark.parametrize(
    "asked",
    [
        {**ASKED, "conn_type": "postgres"},
        {**ASKED, "port": 8080},
        {**ASKED, "port": None},
        {name: value for name, value in ASKED.items() if name != "port"},
        {name: value for name, value in ASKED.items() if name != "conn_type"},
        [ASKED],
        "webflow",
        0,
        {**ASKED, "extra": "x" * 100_000},
    ],
    ids=lambda value: str(value)[:60],
)
def test_every_other_document_passes_as_it_is(asked: Any) -> None:
    body = json.dumps(asked, indent=1).encode()
    for parts in ([body], [body[:70_000], body[70_000:]]):
        assert passed_on(parts) == (body, len(body))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5_000, b'{"conn_type": "webflow", "port": 0'], ids=ascii)
def test_what_is_no_document_is_left_to_airflow(body: bytes) -> None:
    assert passed_on([body]) == (body, len(body))


@pytest.mark.parametrize("changes", [{"method": "PATCH"}, {"path": "/api/v2/connections"}, {"path": "/webflow/"}])
def test_every_other_request_passes_as_it_is(changes: dict[str, str]) -> None:
    body = json.dumps(ASKED).encode()
    assert passed_on([body], **changes) == (body, len(body))


def test_a_browser_that_goes_away_is_left_to_airflow() -> None:
    seen: list[Any] = []

    async def application(_: Any, receive: Any, __: Any) -> None:
        seen.append(await receive())

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(PortlessTest(application)({"type": "http", "method": "POST", "path": PATH, "headers": []}, receive, None))
    assert seen == [{"type": "http.disconnect"}]
