"""An answer is the API's only if it proves it: answers of proxies, portals and gateways, and echoes in other forms."""

import gzip
import json
import logging
import resource
import socket
import time
import zlib
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from tests.integration.test_push import by_state
from tests.night import TOKEN, Night
from tests.servers import Answer, Listening, Server, number, ok, saying
from webflow_conversions.delivery.circuit_breaker import STOP_AFTER
from webflow_conversions.delivery.concurrency import Pace
from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.pipeline.causes import Cause
from webflow_conversions.rules.states import explain

PORTAL = (
    b"<!DOCTYPE html><html><head><style>b{}</style><title>Guest&nbsp;Wi-Fi</title></head><body>Please <b>log in</b></body></html>"
)
HTML = "Content-Type: text/html; charset=utf-8"


def always(answer: bytes) -> Answer:
    return lambda *_: answer


# What is not the API's


@pytest.mark.parametrize("rows", [2, 3_001])
@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_that_is_not_the_api_s_stops_the_push_and_rejects_nothing(night: Night, rows: int, status: int) -> None:
    run = night.ready(rows)
    with Server(always(saying(status, HTML, "Server: portal/1", "Via: 1.1 squid", body=PORTAL))) as server:
        with pytest.raises(Stopped) as stopped:
            night.push(run, server.url)
        assert len(server.got) <= 8
    assert by_state(night) == {"ready": rows}
    assert f"HTTP {status} without our event" in str(stopped.value)
    assert "Check the host of connection webflow_default and the proxy on the way" in str(stopped.value)
    assert night.problems(run)
    with Server() as server:
        assert night.push(night.read("again"), server.url).accepted == rows
        arrived = server.conversions()
    assert set(arrived.values()) == {1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"{}",
        b"[]",
        b"null",
        b'{"status": "ok"}',
        b'{"actionId": "another"}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' * 9_000,
        b"9" * 60_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_whatever_a_success_says_the_row_stays_ready(night: Night, body: bytes) -> None:
    run = night.ready(40)
    with Server(lambda head, sent: saying(200, body=body) if number(sent) == 5 else ok(head, sent)) as server:
        night.push(run, server.url, attempts_per_run=2)
    row = night.row("c5")
    assert (row.state, row.reason, row.attempts, row.attempts_in_doubt) == ("ready", None, 2, 2)
    assert by_state(night) == {"accepted": 39, "ready": 1}


def test_an_array_of_events_is_no_object_and_so_not_the_api_s(night: Night) -> None:
    with Server(lambda _, body: saying(200, body=b"[" + body + b"]")) as server, pytest.raises(Stopped):
        night.push(night.ready(9), server.url)
    assert by_state(night) == {"ready": 9}


def test_what_answered_is_told_without_markup_and_secrets(night: Night) -> None:
    run = night.ready(5)
    answer = saying(200, HTML, "Server: portal/1", "Via: 1.1 squid", body=PORTAL)
    with Server(always(answer)) as server, pytest.raises(Stopped) as stopped:
        night.push(run, server.url)
    told = "HTTP 200, text/html; charset=utf-8, Server: portal/1, Via: 1.1 squid: “Guest Wi-Fi Please log in”"
    assert told in str(stopped.value)
    assert night.row("c1").trouble == told
    assert told in night.problems(run)[0]


@pytest.mark.parametrize("where", ["body", "header", "markup"])
def test_who_answered_is_told_without_the_token(night: Night, where: str) -> None:
    headers = [HTML, f"Server: {TOKEN}" if where == "header" else "Server: x"]
    body = {"body": TOKEN, "markup": "<b>".join(TOKEN), "header": "hello"}[where].encode()
    with Server(always(saying(200, *headers, body=body))) as server, pytest.raises(Stopped) as stopped:
        night.push(night.ready(3), server.url, settings={"token": TOKEN})
    told = str(stopped.value) + "".join(str(row.trouble) for row in night.rows().values())
    assert TOKEN not in told.replace(" ", "")


@pytest.mark.parametrize("status", [401, 403])
def test_a_proxy_that_refuses_is_not_taken_for_webflow(night: Night, status: int) -> None:
    run = night.ready(50)
    with (
        Server(always(saying(status, HTML, "Server: squid", body=b"<h1>Access denied</h1>"))) as server,
        pytest.raises(Stopped, match=rf"not Webflow's API refuses .*: HTTP {status}, text/html.*Server: squid: “Access denied”"),
    ):
        night.push(run, server.url)
    assert by_state(night) == {"ready": 50}
    assert {(row.reason, row.attempts_in_doubt) for row in night.rows().values()} == {(None, 0)}


@pytest.mark.parametrize("rows", [2, 300])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_page_that_refuses_is_not_taken_for_webflow(night: Night, status: int, rows: int) -> None:
    run = night.ready(rows)
    page = b"<html><h1>Blocked</h1></html>"
    with Server(always(saying(status, HTML, "Server: filter", body=page))) as server, suppress(Stopped, Unavailable):
        night.push(run, server.url, attempts_per_run=1, settings={"patience_seconds": 2})
    assert by_state(night) == {"ready": rows}
    problems = "".join(night.problems(run))
    assert f"HTTP {status}, text/html; charset=utf-8, Server: filter: “Blocked”" in problems
    assert "Webflow refused" not in problems


def test_an_event_that_a_filter_blocks_costs_no_other(night: Night) -> None:
    run = night.ready(40)
    blocked = saying(406, HTML, body=b"<h1>Not acceptable</h1>")
    with Server(lambda head, body: blocked if number(body) == 5 else ok(head, body)) as server:
        assert night.push(run, server.url, attempts_per_run=2).accepted == 39
    row = night.row("c5")
    assert (row.state, row.reason, row.attempts, row.attempts_in_doubt) == ("ready", None, 2, 0)
    assert "last trouble: HTTP 406" in "".join(night.problems(run))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_what_webflow_says_is_read_whatever_it_is_packed_by(night: Night, pack: Callable[[bytes], bytes]) -> None:
    run, coding = night.ready(3), "gzip" if pack is gzip.compress else "deflate"
    with Server(always(saying(422, f"Content-Encoding: {coding}", body=pack(b'{"error": "no such goal"}')))) as server:
        night.push(run, server.url)
    assert {row.trouble for row in night.rows().values()} == {'{"error": "no such goal"}'}


def test_a_refusal_without_words_that_can_be_read_is_told_by_its_status(night: Night) -> None:
    run = night.ready(2)
    with Server(lambda _, body: saying(422, "Content-Encoding: br", body=b"\x0b\x02" + body)) as server:
        night.push(run, server.url)
    (refused,) = (finding.sentence for finding in night.verdict(run).findings if finding.cause is Cause.REFUSED)
    assert refused == "sales: Webflow refused 2 conversions (2.00): HTTP 422 (2)"


def test_a_coding_that_cannot_be_read_is_named(night: Night) -> None:
    with (
        Server(always(saying(200, "Content-Encoding: br", body=b"\x0b\x02\x80hello\x03"))) as server,
        pytest.raises(Stopped, match="Content-Encoding: br"),
    ):
        night.push(night.ready(3), server.url)


def test_a_few_refusals_of_the_address_are_told_with_their_status(night: Night) -> None:
    run = night.ready(2)
    with Server(always(saying(404, body=b'{"error": "not found"}'))) as server:
        night.push(run, server.url)
    assert {row.trouble for row in night.rows().values()} == {'HTTP 404 “{"error": "not found"}”'}
    assert 'last trouble: HTTP 404 “{"error": "not found"}”' in "".join(night.problems(run))


@pytest.mark.parametrize("body", [b"", b'{"error": "no such token"}'])
def test_the_api_that_refuses_is_webflow(night: Night, body: bytes) -> None:
    with (
        Server(always(saying(401, body=body))) as server,
        pytest.raises(Stopped, match=r"Webflow refuses the token \(HTTP 401\)"),
    ):
        night.push(night.ready(3), server.url)


def test_a_short_portal_in_mid_run_does_not_end_it(night: Night) -> None:
    run, times = night.ready(300), iter(range(10_000))

    def answer(head: bytes, body: bytes) -> bytes:
        return saying(200, HTML, body=PORTAL) if 100 <= next(times) < 110 else ok(head, body)

    with Server(answer) as server:
        assert night.push(run, server.url, settings={"concurrency": 4}).accepted == 300
        arrived = server.conversions()
    assert {name for name, times in arrived.items() if times > 1} <= {
        name for name, row in night.rows().items() if row.attempts_in_doubt
    }


# An echo that never matches


def rewritten(head: bytes, body: bytes) -> bytes:
    """The event as a proxy writes it that has its own names."""
    event = json.loads(body)
    return saying(200, "Content-Type: application/json", body=json.dumps({"action_id": event.pop("actionId"), **event}).encode())


def test_an_echo_that_never_matches_costs_a_few_rows_and_the_next_run_one(night: Night) -> None:
    run = night.ready(3_001)
    with Server(rewritten) as server:
        with pytest.raises(Stopped, match="what is not marked echo_mismatch stays ready"):
            night.push(run, server.url)
        first = set(server.conversions())
        assert STOP_AFTER <= len(first) <= 8
        for name in ("second", "third"):
            with pytest.raises(Stopped):
                night.push(night.read(name), server.url)
        arrived = server.conversions()
    assert set(arrived.values()) == {1}
    assert len(arrived) == len(first) + 2
    possibly = {name: row for name, row in night.rows().items() if row.state != "ready"}
    assert set(possibly) == set(arrived)
    assert {(row.state, row.reason, row.attempts, row.attempts_in_doubt) for row in possibly.values()} == {
        ("rejected", "echo_mismatch", 1, 1)
    }
    assert all("JSON with action_id, customerId" in row.trouble for row in possibly.values())
    with Server() as server:
        assert night.push(night.read("well again"), server.url).accepted == 3_001 - len(arrived)
        counts = night.push(night.read("and after"), server.url)
    assert counts.requests == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event | {"actionId": event["actionId"].upper()},
        lambda event: event | {"actionId": None},
        lambda event: {name: value for name, value in event.items() if name != "actionId"},
        lambda event: {"deep": {"deeper": event}, "userId": event["userId"], "eventName": event["eventName"]},
        lambda event: event | {"error": "not stored"},
        lambda event: {"success": False, "event": event},
    ],
    ids=["another case", "null", "without", "too deep", "an error", "no success"],
)
def test_an_event_of_which_another_one_came_back_is_not_sent_again(
    night: Night, change: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    run = night.ready(10)

    def answer(head: bytes, body: bytes) -> bytes:
        return saying(200, body=json.dumps(change(json.loads(body))).encode()) if number(body) == 4 else ok(head, body)

    with Server(answer) as server:
        night.push(run, server.url)
        night.push(night.read("second"), server.url)
        assert server.conversions()["c4"] == 1
    row = night.row("c4")
    assert (row.state, row.reason, row.attempts, row.attempts_in_doubt) == ("rejected", "echo_mismatch", 1, 1)
    assert "its actionId" in explain("echo_mismatch").meaning


# Another form


def raw_deflate(body: bytes) -> bytes:
    deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflating.compress(body) + deflating.flush()


def chunked_gzip(body: bytes) -> bytes:
    packed = gzip.compress(body)
    head = b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "a float": lambda body: saying(200, body=body.replace(b'"value":1}', b'"value":1.0000000000000002}')),
    "a number for the customer": lambda body: saying(200, body=body.replace(b'"123456789"', b"123456789")),
    "an envelope": lambda body: saying(200, body=b'{"data": ' + body + b', "errors": []}'),
    "another user": lambda body: saying(200, body=body.replace(b'"u1"', b'"U1"')),
    "201": lambda body: saying(201, body=body),
    "202": lambda body: saying(202, body=body),
    "gzip": lambda body: saying(200, "Content-Encoding: gzip", body=gzip.compress(body)),
    "GZIP": lambda body: saying(200, "content-encoding:  GZIP ", body=gzip.compress(body)),
    "deflate": lambda body: saying(200, "Content-Encoding: deflate", body=zlib.compress(body)),
    "deflate without a header": lambda body: saying(200, "Content-Encoding: deflate", body=raw_deflate(body)),
    "a byte order mark": lambda body: saying(200, body=b"\xef\xbb\xbf" + body),
    "UTF-16": lambda body: saying(200, "Content-Type: application/json; charset=utf-16", body=body.decode().encode("utf-16")),
    "chunked": lambda body: b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    "chunked gzip": chunked_gzip,
    "no charset": lambda body: saying(200, "Content-Type: text/plain", body=b"\n" + body + b"\n"),
    "after an interim answer": lambda body: b"HTTP/1.1 103 Early\r\nContent-Encoding: br\r\n\r\n" + saying(200, body=body + b" "),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_echo_in_another_form_is_an_echo_and_noted_once(night: Night, form: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Server(lambda _, body: FORMS[form](body)) as server:
        assert night.push(night.ready(30), server.url).accepted == 30
    assert {(row.attempts, row.attempts_in_doubt, row.trouble) for row in night.rows().values()} == {(1, 0, None)}
    noted = [record.getMessage() for record in caplog.records if "its echo differs" in record.getMessage()]
    fields = {"a float": "value", "a number for the customer": "customerId", "another user": "userId"}
    assert [f" in {fields[form]}:" in note for note in noted] == [True] * (form in fields)


def test_an_echo_that_is_packed_by_an_unknown_coding_proves_nothing(night: Night) -> None:
    with Server(lambda _, body: saying(200, "Content-Encoding: zstd", body=body + b" ")) as server, pytest.raises(Stopped):
        night.push(night.ready(9), server.url)
    assert by_state(night) == {"ready": 9}


# Without an end


def bomb() -> bytes:
    """60 kB that become 60 MB."""
    deflating = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join([deflating.compress(bytes(1_000_000)) for _ in range(60)]) + deflating.flush()


ENDLESS: dict[str, Callable[[socket.socket], None]] = {
    "a gzip bomb": lambda client: client.sendall(saying(200, "Content-Encoding: gzip", body=bomb())),
    "1 GB": lambda client: flood(client, b"HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\n", b"x" * 65_536),
    "chunks": lambda client: flood(
        client, b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    ),
    "headers": lambda client: flood(client, b"HTTP/1.1 200 X\r\n", b"X-Header: " + b"x" * 1_000 + b"\r\n"),
    "one header": lambda client: flood(client, b"HTTP/1.1 200 X\r\nX-Header: ", b"x" * 65_536),
    "a deflate bomb": lambda client: client.sendall(
        saying(200, "Content-Encoding: deflate", body=zlib.compress(bytes(50_000_000), 9))
    ),
    "a bomb in a bomb": lambda client: client.sendall(
        saying(200, "Content-Encoding: gzip, gzip", body=gzip.compress(gzip.compress(bytes(50_000_000))))
    ),
    "a body that drips": lambda client: drip(client, b"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n"),
    "a chunk's length without an end": lambda client: flood(
        client, b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65_536
    ),
    "trailers": lambda client: flood(
        client, b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Header: " + b"x" * 1_000 + b"\r\n"
    ),
    "a status line": lambda client: flood(client, b"HTTP/1.1 200 ", b"x" * 65_536),
    "interim answers": lambda client: flood(client, b"", b"HTTP/1.1 103 X\r\nA: b\r\n\r\n"),
}


def flood(client: socket.socket, head: bytes, more: bytes) -> None:
    client.sendall(head)
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        client.sendall(more)


def drip(client: socket.socket, head: bytes) -> None:
    client.sendall(head)
    while True:
        time.sleep(0.1)
        client.sendall(b"x")


class EndlessServer(Listening):
    """Answers each request without an end."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        super().__init__()

    def _talk(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            client.recv(65_536)
            self._answer(client)


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_an_end_costs_neither_memory_nor_time(night: Night, kind: str) -> None:
    run, before, began = night.ready(4), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with EndlessServer(ENDLESS[kind]) as server, suppress(Stopped, Unavailable):
        night.push(run, server.url, attempts_per_run=1, settings={"timeout_seconds": 3.0, "patience_seconds": 1.0})
    assert time.monotonic() - began < 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 1, 1)}


ECHO = b'{"actionId": "another"}'
BROKEN = {
    "HTTP/0.9": ECHO,
    "no answer": b"",
    "a status alone": b"HTTP/1.1 200 OK\r\n",
    "headers alone": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    "an interim answer alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "too long a length": b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + ECHO,
    "too short a length": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + ECHO,
    "a length of nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + ECHO,
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + ECHO,
    "an absurd length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n" + ECHO,
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + ECHO,
    "chunks that break off": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"act',
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS": bytes.fromhex("15030300020228"),
    "a NUL in a header": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_that_breaks_off_or_belies_itself_leaves_the_row_in_doubt(night: Night, kind: str) -> None:
    run = night.ready(2)
    with EndlessServer(lambda client: client.sendall(BROKEN[kind])) as server, suppress(Stopped, Unavailable):
        night.push(run, server.url, attempts_per_run=1, settings={"timeout_seconds": 3.0, "patience_seconds": 1.0})
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 1, 1)}
    with Server() as api:
        assert night.push(night.read("again"), api.url).accepted == 2


# Gateways


@pytest.mark.parametrize("status", [408, 425, 429, 503])
@pytest.mark.parametrize("resend", [True, False])
def test_what_a_gateway_puts_off_may_have_been_received(night: Night, status: int, resend: bool) -> None:
    run, met = night.ready(20), []

    def answer(head: bytes, body: bytes) -> bytes:
        if met:
            return ok(head, body)
        met.append(body)
        return saying(status, "Retry-After: 0")

    with Server(answer) as server:
        counts = night.push(run, server.url, resend=resend, settings={"concurrency": 1})
        arrived = server.conversions()
    row = night.row("c1")
    if resend:
        assert (row.state, row.attempts, row.attempts_in_doubt, arrived["c1"]) == ("accepted", 2, 1, 2)
        assert night.runs.accounts(run, {"webflow_default": run.sources}, night.clock.at)["sales"].sent_again == 1
    else:
        assert (row.state, row.reason, row.attempts, row.attempts_in_doubt) == ("sending", "in_doubt", 1, 1)
        assert arrived["c1"] == 1
    assert counts.deferred == 1


# An attempt's own facts


def test_the_facts_of_an_attempt_are_its_own(night: Night) -> None:
    run = night.ready(1)
    with Server(always(saying(401))) as server, pytest.raises(Stopped):
        night.push(run, server.url)
    assert (night.row("c1").http_status, night.row("c1").trouble) == (401, "HTTP 401")
    with Server(lambda *_: b"") as server:
        night.push(night.read("second"), server.url, attempts_per_run=1, settings={"timeout_seconds": 0.5})
    row = night.row("c1")
    assert (row.http_status, row.trouble.startswith("curl ")) == (None, True)


def test_a_row_that_goes_back_unsent_keeps_the_facts_of_its_last_attempt(night: Night) -> None:
    run = night.ready(1)
    with Server(always(saying(500))) as server:
        night.push(run, server.url, attempts_per_run=1)
    queue = night.queue(night.read("second"))
    queue.begin(60)
    assert queue.claim(1, night.clock.at)
    queue.release([])
    assert (night.row("c1").http_status, night.row("c1").trouble) == (500, "HTTP 500")


def test_what_a_dead_worker_had_out_has_no_status(night: Night) -> None:
    run = night.ready(1)
    with Server(always(saying(401))) as server, pytest.raises(Stopped):
        night.push(run, server.url)
    dead = night.queue(night.read("second"))
    dead.begin(60)
    dead.claim(1, night.clock.at)
    night.sql("UPDATE webflow.pushes SET expires_at = clock_timestamp() - interval '1 s'")
    night.queue(run, worker=1).recover(night.clock.at)
    assert (night.row("c1").http_status, night.row("c1").trouble) == (None, "the worker died with the row claimed")


def test_a_push_that_distrusts_begins_with_one_request() -> None:
    pace = Pace(most=16, timeout_seconds=5, now=0.0, chance=lambda: 0.0)
    pace.begin_with_one()
    assert pace.limit == 1
    pace.clean(0.1)
    assert pace.limit == 2
