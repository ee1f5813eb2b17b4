"""The simulator keeps Webflow's contract, keeps what it answered, and fails as it is told."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from demo.simulator import SimulatorProcess
from demo.simulator.event import LONGEST_AGE_MS, Malformed, ignored_because, parse_event

TOKEN = "a-token"
CUSTOMER_ID = "123456789"
ROOT = Path(__file__).resolve().parents[2]
DAY = 24 * 60 * 60
DOCUMENTED = (
    b'{"customerId": "123456789", "eventName": "application-accepted", "userDomain": "salesforce", "userId": "72349876",'
    b' "actionId": "23823940", "actionTimestamp": 1578316150000, "value": 149.99}'
)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator") / "received.db", TOKEN, CUSTOMER_ID) as simulator:
        yield simulator


@pytest.fixture
def simulator(started: SimulatorProcess) -> SimulatorProcess:
    """A simulator that has received nothing and does nothing wrong."""
    started.faults([])
    started.clock(0)
    started.clear()
    return started


class Wire:
    """A client's connection, without any cleverness of an HTTP client's."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> "Wire":
        self._socket.sendall(data)
        return self

    def post(self, body: bytes, **headers: str | None) -> "Wire":
        return self.send(request("POST", "/event", body, **headers))

    def answer(self) -> tuple[int, http.client.HTTPMessage, bytes]:
        response = http.client.HTTPResponse(self._socket, method="POST")
        response.begin()
        return response.status, response.headers, response.read()

    def rest(self) -> bytes:
        """All that comes until the other side ends the connection."""
        received = b""
        while part := self._socket.recv(65536):
            received += part
        return received

    def some(self, size: int) -> bytes:
        received = b""
        while len(received) < size and (part := self._socket.recv(size - len(received))):
            received += part
        return received


def request(method: str, path: str, body: bytes = b"", **headers: str | None) -> bytes:
    named = {"authorization": f"ApiKey {TOKEN}", "content_type": "application/json", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value is not None]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: simulator", *lines, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


def event(**fields: Any) -> bytes:
    """A good event of this moment, but for what is said; None leaves a field out."""
    named = {
        "customerId": CUSTOMER_ID,
        "eventName": "offline-purchase",
        "userDomain": "salesforce",
        "userId": "72349876",
        "actionId": "sale/1",
        "actionTimestamp": int(time.time() * 1000) - 60_000,
        **fields,
    }
    return json.dumps({name: value for name, value in named.items() if value is not None}).encode()


def post(simulator: SimulatorProcess, body: bytes, **headers: str | None) -> tuple[int, http.client.HTTPMessage, bytes]:
    with Wire(simulator.port) as wire:
        return wire.post(body, **headers).answer()


def eventually(claim: Callable[[], bool]) -> None:
    """The claim comes true; half a minute is for a machine that is busy."""
    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# The contract


def test_the_documented_example_is_accepted(simulator: SimulatorProcess) -> None:
    status, headers, body = post(simulator, DOCUMENTED)
    assert (status, body) == (200, DOCUMENTED)
    assert headers["Content-Type"] == "application/json"
    [row] = simulator.events()
    assert (row["event_name"], row["action_id"], row["action_timestamp_ms"]) == (
        "application-accepted",
        "23823940",
        1578316150000,
    )
    assert (row["value"], row["body"], row["answer_status"], row["fault"]) == ("149.99", DOCUMENTED.decode(), 200, None)


def test_the_answer_is_what_was_submitted_to_the_byte(simulator: SimulatorProcess) -> None:
    odd = event(userId="Zoë").replace(b", ", b"  ,\n")
    assert post(simulator, odd)[2] == odd


@pytest.mark.parametrize(
    "authorization", [None, "", "ApiKey", "ApiKey ", "ApiKey another", f"Bearer {TOKEN}", TOKEN, f"ApiKey {TOKEN}x"]
)
def test_without_the_token_the_answer_is_401_and_nothing_is_stored(
    simulator: SimulatorProcess, authorization: str | None
) -> None:
    assert post(simulator, event(), authorization=authorization)[0] == 401
    assert simulator.summary()["events"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", "/event", b""), ("POST", "/nowhere", b""), ("POST", "/event", b"{")]
)
def test_the_token_is_looked_at_before_anything_else(simulator: SimulatorProcess, method: str, path: str, body: bytes) -> None:
    with Wire(simulator.port) as wire:
        assert wire.send(request(method, path, body, authorization=None)).answer()[0] == 401
        assert wire.send(request(method, path, body)).answer()[0] in (400, 404, 405)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b"\xff\xfe",
        b"{}",
        b'{"customerId": "123456789"}',
        *(
            event(**{name: wrong})
            for name in ("customerId", "eventName", "userDomain", "userId", "actionId")
            for wrong in (None, "", 1, True, ["text"])
        ),
        event(customerId="987654321"),
        event(eventName="offline purchase"),
        event(eventName="é"),
        event(eventName="line\n"),
        event(eventName="x" * 41),
        event(actionId="\ud800"),
        event(userId="\udfff"),
        event(actionTimestamp=None),
        event(actionTimestamp="1578316150000"),
        event(actionTimestamp=True),
        event(actionTimestamp=1578316150000.5),
        event(actionTimestamp=10**30),
        event(actionTimestamp=[]),
        event().replace(b'"actionTimestamp": 1', b'"actionTimestamp": 1e999999999999999999999'),
        event().replace(b'"actionTimestamp": 1', b'"actionTimestamp": NaN, "x": 1'),
        event(value="149.99"),
        event(value=True),
        event(value=-0.01),
        event(value=149.999),
        event(value=[]),
        event().replace(b"}", b', "value": null}'),
        event().replace(b"}", b', "value": Infinity}'),
        event().replace(b"}", b', "value": 1e400}'),
        event().replace(b"}", b', "value": 1e-400}'),
    ],
)
def test_what_is_no_event_is_answered_400_with_a_sentence_and_stored_nowhere(simulator: SimulatorProcess, body: bytes) -> None:
    status, _, answer = post(simulator, body)
    assert status == 400
    assert json.loads(answer)["error"].endswith(".")
    summary = simulator.summary()
    assert (summary["events"], summary["malformed"], summary["requests_by_status"]) == (0, 1, {"400": 1})


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (event(), None),
        (event(value=0), "0"),
        (event(value=150), "150"),
        (event(value=149.9), "149.9"),
        (event(eventName="!~" * 20), None),
        (event(somethingElse={"a": [1, None]}), None),
        (event(actionTimestamp=1578316150000.0), None),
        (event(actionTimestamp=-1), None),
        (event().replace(b"}", b', "value": 149.9900}'), "149.9900"),
        (event().replace(b"}", b', "value": 1.5e2}'), "150"),
        (event().replace(b"}", b', "value": -0.0}'), "0"),
        (event().replace(b"}", b', "value": 0e-999999}'), "0"),
        (event().replace(b"}", b', "value": 9999999999999.99}'), "9999999999999.99"),
    ],
)
def test_every_writing_of_a_good_event_is_accepted(simulator: SimulatorProcess, body: bytes, value: str | None) -> None:
    assert post(simulator, body)[0] == 200
    [row] = simulator.events()
    assert (row["value"], row["body"]) == (value, body.decode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
    st.sampled_from(["customerId", "eventName", "userDomain", "userId", "actionId", "actionTimestamp", "value"]),
)
def test_any_json_in_any_field_is_an_event_or_malformed(anything: Any, field: str) -> None:
    try:
        parsed = parse_event(event(**{field: anything}), CUSTOMER_ID)
    except Malformed:
        return
    assert parsed.action_id.encode()
    assert parsed.value is None or Decimal(parsed.value) >= 0


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_event_or_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_event(body, CUSTOMER_ID)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_only_post_is_allowed_at_the_endpoint(simulator: SimulatorProcess, method: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)) as client:
        for _ in range(2):
            client.request(method, "/event", headers={"Authorization": f"ApiKey {TOKEN}"})
            answer = client.getresponse()
            answer.read()
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/simulator/summary", "/simulator/nothing"])
def test_its_own_pages_say_which_methods_they_have(simulator: SimulatorProcess, path: str) -> None:
    with Wire(simulator.port) as wire:
        status, headers, _ = wire.send(request("PATCH", path)).answer()
    assert (status, headers["Allow"]) == ((404, None) if path.endswith("nothing") else (405, "GET"))


@pytest.mark.parametrize("path", ["/events", "/event/", "/EVENT", "/v1/event"])
def test_another_path_is_not_found(simulator: SimulatorProcess, path: str) -> None:
    with Wire(simulator.port) as wire:
        assert wire.send(request("POST", path, event())).answer()[0] == 404
    assert simulator.summary()["events"] == 0


@pytest.mark.parametrize("content_type", ["application/json;charset=UTF-8", "Application/JSON"])
def test_the_content_type_is_json_however_it_is_written(simulator: SimulatorProcess, content_type: str) -> None:
    assert post(simulator, event(), content_type=content_type)[0] == 200


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json5", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(simulator: SimulatorProcess, content_type: str | None) -> None:
    assert post(simulator, event(), content_type=content_type)[0] == 415
    assert simulator.summary()["events"] == 0


def test_a_body_of_megabytes_is_refused_and_the_connection_goes_on(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        assert wire.post(event(userId="x" * 2_000_000)).answer()[0] == 413
        assert wire.post(event()).answer()[0] == 200


def test_an_event_dated_after_its_receipt_is_stored_as_one_that_is_ignored(simulator: SimulatorProcess) -> None:
    simulator.clock(-3600)
    assert post(simulator, event(value=5))[0] == 200
    [row] = simulator.events()
    assert (row["counts"], row["ignored_because"]) == (False, "in_the_future")


def test_an_event_older_than_2_days_is_stored_as_one_that_is_ignored(simulator: SimulatorProcess) -> None:
    simulator.clock(2 * DAY)
    assert post(simulator, event())[0] == 200
    simulator.clock(2 * DAY - 3600)
    assert post(simulator, event())[0] == 200
    assert [row["ignored_because"] for row in simulator.events()] == ["older_than_2_days", None]
    summary = simulator.summary()
    assert (summary["counting"], summary["ignored"]) == (1, {"older_than_2_days": 1})


@pytest.mark.parametrize(
    ("age_ms", "because"),
    [(-1, "in_the_future"), (0, None), (LONGEST_AGE_MS, None), (LONGEST_AGE_MS + 1, "older_than_2_days")],
)
def test_the_2_days_are_48_hours_to_the_millisecond(age_ms: int, because: str | None) -> None:
    now_ms = 1_653_514_258_136
    assert ignored_because(now_ms - age_ms, now_ms) == because


@pytest.mark.parametrize("offset_seconds", [0, -600, 86_400.5])
@pytest.mark.parametrize("path", ["/event", "/nowhere", "/simulator/clock"])
def test_every_answer_is_dated_by_its_clock(simulator: SimulatorProcess, path: str, offset_seconds: float) -> None:
    simulator.clock(offset_seconds)
    before = datetime.now(UTC).replace(microsecond=0)
    with Wire(simulator.port) as wire:
        _, headers, _ = wire.send(request("POST", path, event())).answer()
    ahead = timedelta(seconds=int(offset_seconds))
    assert before + ahead <= parsedate_to_datetime(headers["Date"]) <= datetime.now(UTC) + timedelta(seconds=1) + ahead


# What it keeps


def test_a_duplicate_is_stored_a_second_time_and_told(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        for action_id in ("a", "b", "a", "c", "c", "c"):
            assert wire.post(event(actionId=action_id)).answer()[0] == 200
    summary = simulator.summary()
    assert (summary["events"], summary["action_ids"]) == (6, 3)
    assert summary["repeated_action_ids"] == {"count": 2, "first": ["a", "c"]}
    assert simulator.action_ids() == {"a": 2, "b": 1, "c": 3}
    assert len(simulator.events(action_id="a")) == 2


def test_the_money_is_summed_exactly_and_by_event_name(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        for event_name, value in (("sale", 0.1), ("sale", 0.2), ("deal", 9999999999999.99), ("deal", None)):
            wire.post(event(eventName=event_name, value=value)).answer()
    summary = simulator.summary()
    assert summary["value_sum"] == "10000000000000.29"
    assert summary["by_event_name"] == {
        "deal": {"events": 2, "value_sum": "9999999999999.99"},
        "sale": {"events": 2, "value_sum": "0.3"},
    }


def test_requests_are_counted_by_status_and_by_second(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        for body in (event(), b"{}", event()):
            wire.post(body).answer()
        wire.send(request("GET", "/event")).answer()
    summary = simulator.summary()
    assert summary["requests"] == 4
    assert summary["requests_by_status"] == {"200": 2, "400": 1, "405": 1}
    assert sum(second["requests"] for second in summary["requests_per_second"]) == 4
    assert (summary["most_at_once"], summary["open"]) == (1, 0)


def test_rows_are_read_in_pages(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        for number in range(5):
            wire.post(event(actionId=f"sale/{number}")).answer()
        pages = [
            [row["action_id"] for row in json.loads(wire.send(request("GET", f"/simulator/events?{query}")).answer()[2])]
            for query in ("limit=2", "limit=2&offset=4", "limit=0", "action_id=sale%2F3", "action_id=sale")
        ]
        assert wire.send(request("GET", "/simulator/events?limit=many")).answer()[0] == 400
    assert pages == [["sale/0", "sale/1"], ["sale/4"], [], ["sale/3"], []]


def test_action_ids_come_back_to_the_letter(simulator: SimulatorProcess) -> None:
    awkward = ["a\tb", "a\nb", "a\\nb", "a\\\\n", "\r", "\u2028", "\x85", "é", "a/b%20c", "\\"]
    with Wire(simulator.port) as wire:
        for action_id in awkward:
            assert wire.post(event(actionId=action_id)).answer()[0] == 200
    assert simulator.action_ids() == dict.fromkeys(awkward, 1)


def test_beginning_anew_forgets_events_and_figures(simulator: SimulatorProcess) -> None:
    post(simulator, event())
    simulator.clear()
    summary = simulator.summary()
    assert (summary["events"], summary["requests"], summary["requests_by_status"]) == (0, 0, {})
    assert (simulator.events(), simulator.action_ids()) == ([], {})


def test_a_person_can_read_the_figures(simulator: SimulatorProcess) -> None:
    post(simulator, event(eventName="<script>", value=12.5))
    with Wire(simulator.port) as wire:
        _, headers, page = wire.send(request("GET", "/", authorization=None)).answer()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"12.5" in page
    assert b"&lt;script&gt;" in page
    assert b"<script" not in page


def test_kill_9_takes_nothing_that_was_answered(tmp_path: Path) -> None:
    simulator = SimulatorProcess(tmp_path / "received.db", TOKEN, CUSTOMER_ID)
    answered: list[str] = []
    sent: Counter[str] = Counter()
    ended = threading.Event()

    def push(worker: int) -> None:
        number = 0
        while not ended.is_set():
            try:
                with Wire(simulator.port) as wire:
                    while not ended.is_set():
                        number += 1
                        action_id = f"{worker}/{number}"
                        sent[action_id] += 1
                        if wire.post(event(actionId=action_id)).answer()[0] == 200:
                            answered.append(action_id)
            except (OSError, http.client.HTTPException):
                ended.wait(0.01)

    with simulator:
        port = simulator.port
        workers = [threading.Thread(target=push, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        try:
            for _ in range(3):
                known = len(answered)
                eventually(lambda enough=known + 200: len(answered) > enough)  # type: ignore[misc]
                simulator.kill()
                simulator.start()
        finally:
            ended.set()
            for worker in workers:
                worker.join()
        stored = simulator.action_ids()
        assert simulator.port == port
    assert set(answered) <= set(stored)
    assert set(stored) <= set(sent)
    assert set(stored.values()) == {1}


def test_an_ending_in_good_order_keeps_everything_and_is_no_error(tmp_path: Path) -> None:
    with SimulatorProcess(tmp_path / "received.db", TOKEN, CUSTOMER_ID) as simulator, Wire(simulator.port) as wire:
        wire.post(event(actionId="before")).answer()
        simulator.stop()
        assert wire.rest() == b""
        simulator.start()
        post(simulator, event(actionId="after"))
        assert simulator.action_ids() == {"before": 1, "after": 1}


# The wire


def test_requests_sent_in_one_go_are_answered_in_their_order(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "delay", "milliseconds": 20, "times": 1}])
    bodies = [event(actionId=f"sale/{number}") for number in range(50)]
    with Wire(simulator.port) as wire:
        wire.send(b"".join(request("POST", "/event", body) for body in bodies) + request("GET", "/event", connection="close"))
        answers = wire.rest().split(b"HTTP/1.1 ")[1:]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers[:-1]] == bodies
    assert answers[-1].startswith(b"405")
    assert [row["body"].encode() for row in simulator.events()] == bodies


def test_a_request_that_comes_while_another_waits_is_answered_after_it(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "delay", "milliseconds": 200, "times": 1}])
    first, second = event(actionId="first"), event(actionId="second")
    with Wire(simulator.port) as wire:
        wire.post(first)
        eventually(lambda: simulator.summary()["requests"] == 1)
        answers = wire.post(second, connection="close").rest().split(b"HTTP/1.1 ")[1:]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [first, second]


def test_the_answer_to_head_has_no_body(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        answer = wire.send(request("HEAD", "/event", connection="close")).rest()
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_request_that_breaks_off_is_stored_nowhere(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        wire.send(request("POST", "/event", event())[:-1])
    assert post(simulator, event(actionId="whole"))[0] == 200
    assert simulator.action_ids() == {"whole": 1}


def test_a_request_in_small_pieces_is_understood(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        for byte in request("POST", "/event", DOCUMENTED):
            wire.send(bytes([byte]))
        assert wire.answer()[2] == DOCUMENTED


def test_a_chunked_body_is_understood(simulator: SimulatorProcess) -> None:
    head = request("POST", "/event", transfer_encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
    with Wire(simulator.port) as wire:
        wire.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(DOCUMENTED), DOCUMENTED))
        assert wire.answer()[2] == DOCUMENTED


def test_a_client_that_expects_it_is_told_to_continue(simulator: SimulatorProcess) -> None:
    whole = request("POST", "/event", DOCUMENTED, expect="100-continue")
    with Wire(simulator.port) as wire:
        wire.send(whole[: -len(DOCUMENTED)])
        assert wire.some(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(DOCUMENTED).answer()[2] == DOCUMENTED


def test_what_is_no_http_is_answered_400_and_the_connection_ends(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        assert wire.send(b"\x16\x03\x01\x02\x00 not HTTP\r\n\r\n").rest().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_client_that_wants_the_connection_closed_has_it_closed(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        assert wire.post(DOCUMENTED, connection="close").rest().endswith(DOCUMENTED)


# The faults


def test_a_delayed_event_is_stored_at_once_and_answered_later(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "delay", "milliseconds": [10, 20]}])
    with Wire(simulator.port) as wire:
        assert wire.post(DOCUMENTED).answer()[2] == DOCUMENTED
        simulator.faults([{"action": "delay", "milliseconds": 3_600_000}])
        wire.post(event(actionId="late"))
        eventually(lambda: simulator.summary()["events"] == 2)
        assert simulator.summary()["open"] == 1
    eventually(lambda: simulator.summary()["requests_by_status"] == {"200": 1, "none": 1})
    assert [row["fault"] for row in simulator.events()] == ["delay", "delay"]


def test_many_requests_can_wait_at_once(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "delay", "milliseconds": 3_600_000}])
    with ExitStack() as wires:
        for number in range(300):
            wires.enter_context(Wire(simulator.port)).post(event(actionId=f"sale/{number}"))
        eventually(lambda: simulator.summary()["open"] == 300)
        assert simulator.summary()["most_at_once"] == 300
    eventually(lambda: simulator.summary()["open"] == 0)


def test_an_event_that_comes_again_while_it_is_open_is_noticed(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "delay", "milliseconds": 3_600_000}])
    with Wire(simulator.port) as wire, Wire(simulator.port) as other:
        wire.post(event(actionId="once"))
        eventually(lambda: simulator.summary()["open"] == 1)
        assert simulator.summary()["twice_at_once"] == {"count": 0, "first": []}
        other.post(event(actionId="once"))
        eventually(lambda: simulator.summary()["twice_at_once"] == {"count": 1, "first": ["once"]})
    eventually(lambda: simulator.summary()["open"] == 0)
    simulator.faults([])
    with Wire(simulator.port) as wire:
        wire.post(event(actionId="once")).answer()
        wire.post(event(actionId="once")).answer()
    assert simulator.summary()["twice_at_once"]["count"] == 1


@pytest.mark.parametrize("retry_after", [None, "17", "Wed, 21 Oct 2099 07:28:00 GMT", "soon", "-1", "9" * 40])
@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503, 599])
def test_a_status_is_given_with_its_retry_after(simulator: SimulatorProcess, status: int, retry_after: str | None) -> None:
    simulator.faults([{"action": "status", "status": status, "retry_after": retry_after}])
    with Wire(simulator.port) as wire:
        answered, headers, body = wire.post(event()).answer()
        assert (answered, headers["Retry-After"]) == (status, retry_after)
        assert json.loads(body)["error"]
        simulator.faults([])
        assert wire.post(event()).answer()[0] == 200
    assert [row["answer_status"] for row in simulator.events()] == [200]


def test_an_event_can_be_stored_and_yet_be_answered_with_an_error(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "status", "status": 502, "body": "bad gateway", "store": True}])
    assert post(simulator, event())[::2] == (502, b"bad gateway")
    [row] = simulator.events()
    assert (row["answer_status"], row["fault"]) == (502, "status")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_has_none(simulator: SimulatorProcess, status: int) -> None:
    simulator.faults([{"action": "status", "status": status, "body": "text"}])
    with Wire(simulator.port) as wire:
        answer = wire.post(event(), connection="close").rest()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(b"\r\n\r\n")


def test_drop_before_ends_the_connection_and_stores_nothing(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "drop_before"}])
    with Wire(simulator.port) as wire:
        assert wire.post(event()).rest() == b""
    summary = simulator.summary()
    assert (summary["events"], summary["requests_by_status"], summary["open"]) == (0, {"none": 1}, 0)


def test_drop_after_stores_the_event_and_ends_the_connection_without_an_answer(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "drop_after"}])
    with Wire(simulator.port) as wire:
        assert wire.post(event()).rest() == b""
    [row] = simulator.events()
    assert (row["answer_status"], row["fault"]) == (None, "drop_after")


@pytest.mark.parametrize(("action", "stored"), [("drop_before", ["first"]), ("drop_after", ["first", "second"])])
def test_a_reused_connection_is_dropped_too(simulator: SimulatorProcess, action: str, stored: list[str]) -> None:
    with Wire(simulator.port) as wire:
        assert wire.post(event(actionId="first")).answer()[0] == 200
        simulator.faults([{"action": action}])
        assert wire.post(event(actionId="second")).rest() == b""
    assert [row["action_id"] for row in simulator.events()] == stored


@pytest.mark.parametrize("action", ["drop_before", "drop_after"])
def test_a_connection_is_reset_if_so_told(simulator: SimulatorProcess, action: str) -> None:
    simulator.faults([{"action": action, "reset": True}])
    with Wire(simulator.port) as wire, pytest.raises(ConnectionResetError):
        wire.post(event()).rest()


def test_drop_in_body_sends_half_of_the_echo(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "drop_in_body"}])
    with Wire(simulator.port) as wire:
        head, _, body = wire.post(DOCUMENTED).rest().partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(DOCUMENTED) in head + b"\r\n"
    assert body == DOCUMENTED[: len(DOCUMENTED) // 2]
    assert [row["answer_status"] for row in simulator.events()] == [None]


@pytest.mark.parametrize("store", [False, True])
def test_a_stall_lasts_until_the_client_gives_up(simulator: SimulatorProcess, store: bool) -> None:
    simulator.faults([{"action": "stall", "store": store}])
    with Wire(simulator.port) as wire:
        wire.post(event())
        eventually(lambda: simulator.summary()["open"] == 1)
        assert simulator.summary()["requests_by_status"] == {}
    eventually(lambda: simulator.summary()["requests_by_status"] == {"none": 1})
    assert simulator.summary()["events"] == store


def test_a_stall_in_the_body_comes_after_half_of_it(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "stall_in_body"}])
    with Wire(simulator.port) as wire:
        received = wire.post(DOCUMENTED).some(1)
        while not received.endswith(DOCUMENTED[: len(DOCUMENTED) // 2]):
            received += wire.some(1)
        summary = simulator.summary()
    assert (summary["events"], summary["open"]) == (1, 1)


def test_garbage_is_a_200_without_json(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "garbage"}])
    status, _, body = post(simulator, event())
    assert status == 200
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(body)
    assert simulator.summary()["events"] == 1


@pytest.mark.parametrize("field", ["customerId", "eventName", "userDomain", "userId", "actionId", "actionTimestamp"])
def test_a_mismatch_differs_in_one_field(simulator: SimulatorProcess, field: str) -> None:
    simulator.faults([{"action": "mismatch", "field": field}])
    status, _, body = post(simulator, DOCUMENTED)
    sent, received = json.loads(DOCUMENTED), json.loads(body)
    assert status == 200
    assert sent.keys() == received.keys()
    assert [name for name in sent if sent[name] != received[name]] == [field]


def test_a_reordered_answer_is_the_same_object_in_another_writing(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "reordered"}])
    status, _, body = post(simulator, DOCUMENTED)
    sent, received = json.loads(DOCUMENTED, parse_float=Decimal), json.loads(body, parse_float=Decimal)
    assert status == 200
    assert received.items() >= sent.items()
    assert list(received)[-len(sent) :] == list(reversed(sent))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_has_as_many_bytes_as_told(simulator: SimulatorProcess, chunked: bool) -> None:
    simulator.faults([{"action": "huge", "bytes": 3_000_001, "chunked": chunked, "times": 1}])
    with Wire(simulator.port) as wire:
        status, headers, body = wire.post(event()).answer()
        assert (status, len(body)) == (200, 3_000_001)
        assert (headers["Content-Length"], headers["Transfer-Encoding"]) == ((None, "chunked") if chunked else ("3000001", None))
        assert wire.post(DOCUMENTED).answer()[2] == DOCUMENTED


def test_a_client_may_turn_away_from_a_gigabyte(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "huge"}])
    with Wire(simulator.port) as wire:
        head = wire.post(event()).some(200)
    assert b"Content-Length: 1000000000\r\n" in head
    eventually(lambda: simulator.summary()["requests_by_status"] == {"none": 1})


def test_a_gigabyte_waits_for_its_reader(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "huge"}])
    with Wire(simulator.port) as wire:
        wire.post(event()).some(1)
        assert all(simulator.summary()["requests_by_status"] == {} for _ in range(100))


def test_a_redirect_points_elsewhere_and_it_shows_whether_the_token_follows(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "redirect"}])
    status, headers, _ = post(simulator, event())
    assert (status, headers["Location"]) == (302, "/elsewhere")
    assert simulator.summary()["elsewhere"] == {"requests": 0, "with_authorization": 0}
    with Wire(simulator.port) as wire:
        wire.send(request("GET", headers["Location"], authorization=None)).answer()
        wire.send(request("GET", headers["Location"])).answer()
    assert simulator.summary()["elsewhere"] == {"requests": 2, "with_authorization": 1}
    assert simulator.summary()["events"] == 0


def test_close_after_answer_answers_and_then_closes(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "close_after_answer"}])
    with Wire(simulator.port) as wire:
        answer = wire.post(DOCUMENTED).rest()
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(DOCUMENTED)


def test_a_fault_hits_as_many_times_as_told(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "status", "status": 500, "times": 2}, {"action": "status", "status": 429, "times": 1}])
    with Wire(simulator.port) as wire:
        assert [wire.post(event()).answer()[0] for _ in range(4)] == [500, 500, 429, 200]
        faults = json.loads(wire.send(request("GET", "/simulator/faults")).answer()[2])
    assert faults["rules"][1] == {"action": "status", "status": 429, "times": 1, "hits": 1}


def test_a_fault_meets_the_events_that_it_names(simulator: SimulatorProcess) -> None:
    simulator.faults(
        [
            {"action": "status", "status": 500, "event_name": "deal"},
            {"action": "status", "status": 503, "action_id": "sale/2"},
        ]
    )
    with Wire(simulator.port) as wire:
        sent = (event(), event(eventName="deal"), event(actionId="sale/2"), event(eventName="deal", actionId="sale/2"), b"{}")
        assert [wire.post(body).answer()[0] for body in sent] == [200, 500, 503, 500, 400]


def test_a_fault_that_names_no_event_meets_a_malformed_one_and_stores_nothing(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "status", "status": 500, "store": True, "times": 1}, {"action": "mismatch"}])
    with Wire(simulator.port) as wire:
        assert [wire.post(b"{}").answer()[0] for _ in range(2)] == [500, 400]
    summary = simulator.summary()
    assert (summary["events"], summary["malformed"]) == (0, 2)


def test_no_fault_meets_who_has_no_token(simulator: SimulatorProcess) -> None:
    simulator.faults([{"action": "drop_before"}])
    assert post(simulator, event(), authorization=None)[0] == 401


def test_the_same_seed_gives_the_same_fates(simulator: SimulatorProcess) -> None:
    def fates(seed: int) -> list[int]:
        simulator.faults([{"action": "status", "status": 500, "probability": 0.5}], seed=seed)
        with Wire(simulator.port) as wire:
            return [wire.post(event()).answer()[0] for _ in range(40)]

    first = fates(1)
    assert set(first) == {200, 500}
    assert fates(1) == first
    assert fates(2) != first


def test_a_delay_and_a_close_join_the_fault_that_follows(simulator: SimulatorProcess) -> None:
    simulator.faults(
        [
            {"action": "delay", "milliseconds": 5},
            {"action": "close_after_answer"},
            {"action": "status", "status": 503, "store": True},
            {"action": "drop_before"},
        ]
    )
    with Wire(simulator.port) as wire:
        assert wire.post(event()).rest().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert [row["fault"] for row in simulator.events()] == ["delay+close_after_answer+status"]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ([{"action": "explode"}], "explode"),
        ([{"action": "status"}], "status"),
        ([{"action": "status", "status": 100}], "status"),
        ([{"action": "delay", "milliseconds": -1}], "milliseconds"),
        ([{"action": "drop_before", "probability": 1.5}], "probability"),
        ([{"action": "drop_before", "store": True}], "store"),
        ([{"action": "stall", "tiems": 1}], "tiems"),
        ([{"action": "status", "status": 429, "retry_after": "1\r\nX: y"}], "retry_after"),
    ],
)
def test_faults_that_cannot_be_understood_are_refused_and_change_nothing(
    simulator: SimulatorProcess, rules: list[dict[str, Any]], named: str
) -> None:
    simulator.faults([{"action": "status", "status": 500}])
    with pytest.raises(ValueError, match=named):
        simulator.faults(rules)
    assert post(simulator, event())[0] == 500


def test_faults_are_read_set_as_a_list_and_deleted(simulator: SimulatorProcess) -> None:
    with Wire(simulator.port) as wire:
        told = [
            json.loads(wire.send(request(method, "/simulator/faults", body)).answer()[2])
            for method, body in (("PUT", b'[{"action": "garbage"}]'), ("GET", b""), ("DELETE", b""))
        ]
    set_ = {"seed": 0, "rules": [{"action": "garbage", "hits": 0}]}
    assert told == [set_, set_, {"seed": 0, "rules": []}]


# The process


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT", "end of input"])
def test_it_says_where_it_listens_and_ends_cleanly(tmp_path: Path, ending: str) -> None:
    options = ["--database", str(tmp_path / "received.db"), "--token", TOKEN, "--customer-id", CUSTOMER_ID, "--end-with-input"]
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.simulator", *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline().decode()
        assert line.startswith("listening on http://127.0.0.1:")
        with Wire(int(line.rpartition(":")[2])) as wire:
            assert wire.post(event()).answer()[0] == 200
            if ending == "end of input":
                process.stdin.close()
            else:
                process.send_signal(signal.Signals[ending])
            assert wire.rest() == b""
        assert (process.wait(30), process.stdout.read(), process.stderr.read()) == (0, b"", b"")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--database", "/nowhere/received.db"], "The simulator cannot start: unable to open database file."),
        (["--database", "received.db", "--faults", '[{"action": "explode"}]'], "explode"),
        (["--database", "received.db", "--certificate", "/nowhere/certificate.pem"], "No such file"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_a_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "demo.simulator", "--token", TOKEN, "--customer-id", CUSTOMER_ID, *options],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_simulator_that_cannot_start_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), SimulatorProcess(tmp_path / "nowhere" / "received.db", TOKEN, CUSTOMER_ID):
        pass


def test_faults_and_clock_can_be_given_from_the_start(tmp_path: Path) -> None:
    with SimulatorProcess(
        tmp_path / "received.db",
        TOKEN,
        CUSTOMER_ID,
        faults=[{"action": "status", "status": 503, "times": 1}],
        clock_offset_seconds=5 * DAY,
    ) as simulator:
        assert [post(simulator, event())[0] for _ in range(2)] == [503, 200]
        assert simulator.summary()["clock_offset_seconds"] == 5 * DAY
        assert simulator.summary()["ignored"] == {"older_than_2_days": 1}


def test_over_tls_it_proves_who_it_is_and_fails_the_same_way(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=certificate)
    # Some builds of Python set it, and take a broken connection for a closed one.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    with SimulatorProcess(tmp_path / "received.db", TOKEN, CUSTOMER_ID, certificate=certificate, key=key) as simulator:
        assert simulator.url == f"https://127.0.0.1:{simulator.port}"
        plain = socket.create_connection(("127.0.0.1", simulator.port), timeout=30)
        with context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as secure:
            secure.sendall(request("POST", "/event", DOCUMENTED))
            response = http.client.HTTPResponse(secure)
            response.begin()
            assert response.read() == DOCUMENTED
            simulator.faults([{"action": "drop_after"}])
            secure.sendall(request("POST", "/event", DOCUMENTED))
            with pytest.raises((ssl.SSLError, ConnectionResetError), match=r"(?i)eof|reset"):
                secure.recv(1)
        assert simulator.summary()["events"] == 2


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads the process list of Linux")
def test_its_tokens_stand_in_no_process_list(tmp_path):
    with SimulatorProcess(tmp_path / "received.db", "canary-of-the-events", CUSTOMER_ID, data_token="canary-of-the-data"):
        seen = []
        for one in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # It has ended meanwhile.
                seen.append(one.read_bytes())
    assert any(b"demo.simulator" in line and bytes(tmp_path / "received.db") in line for line in seen)
    assert not any(b"canary-of-the" in line for line in seen)
