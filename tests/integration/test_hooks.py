"""The hook sends one event by hand, asks how the API is, and says in words whether a connection could work."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import free_port
from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, TOKEN
from tests.servers import Answer, Server, dripping, ok, saying
from webflow_conversions.errors import ConversionsError, InDoubt, Stopped, Unavailable, Unusable
from webflow_conversions.hooks.connections import ledger_session, warehouse
from webflow_conversions.hooks.webflow import Probe, WebflowHook, _clock_offset
from webflow_conversions.hooks.webflow_data import WebflowDataHook
from webflow_conversions.provider import get_provider_info
from webflow_conversions.rules.window import to_milliseconds

HOUR = timedelta(hours=1)


def connect(monkeypatch: pytest.MonkeyPatch, name: str = "webflow_default", **fields: Any) -> None:
    """An Airflow connection, as an environment variable gives it."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "webflow", **fields}))


@pytest.fixture
def hook(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> WebflowHook:
    """The hook, on the simulator."""
    simulator.clock(0)
    connect(monkeypatch, host=simulator.url, login=CUSTOMER_ID, password=TOKEN, extra={"timeout_seconds": 1})
    return WebflowHook()


def event(**changes: Any) -> dict[str, Any]:
    """What send_event takes: an event of an hour ago."""
    return {
        "event_name": "offline-purchase",
        "user_domain": "salesforce",
        "user_id": "72349876",
        "action_id": "23823940",
        "action_timestamp": datetime.now(UTC) - HOUR,
        "value": "149.99",
        **changes,
    }


def test_an_event_arrives_as_the_contract_says(hook: WebflowHook, simulator: SimulatorProcess) -> None:
    given = event()
    hook.send_event(**given)
    (stored,) = simulator.events()
    assert json.loads(stored["body"]) == {
        "customerId": CUSTOMER_ID,
        "eventName": "offline-purchase",
        "userDomain": "salesforce",
        "userId": "72349876",
        "actionId": "23823940",
        "actionTimestamp": to_milliseconds(given["action_timestamp"]),
        "value": 149.99,
    }


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (
            {"action": "status", "status": 422},
            Unusable,
            r"refuses event 23823940 \(HTTP 422\): compare it with the API's contract",
        ),
        (
            {"action": "redirect", "status": 302},
            Unusable,
            r"answers event 23823940 as no API would \(HTTP 302.*\): correct the host",
        ),
        ({"action": "status", "status": 401}, Stopped, r"refuses the token \(HTTP 401\): .* into connection webflow_default"),
        ({"action": "status", "status": 403}, Stopped, r"refuses the token \(HTTP 403\): .* into connection webflow_default"),
        ({"action": "status", "status": 429}, InDoubt, r"Event 23823940 may have been received \(HTTP 429\)"),
        ({"action": "status", "status": 503}, InDoubt, r"Event 23823940 may have been received \(HTTP 503\)"),
        ({"action": "status", "status": 500}, InDoubt, r"Event 23823940 may have been received \(HTTP 500\)"),
        (
            {"action": "garbage"},
            InDoubt,
            r"may have been received, but the answer is not Webflow's \(HTTP 200.*\).*check the host",
        ),
        ({"action": "status", "status": 204, "store": True}, InDoubt, r"the answer is not Webflow's \(HTTP 204"),
        ({"action": "huge", "bytes": 10_000_000}, InDoubt, r"may have been received"),
        ({"action": "drop_before"}, InDoubt, r"may have been received"),
        ({"action": "drop_after"}, InDoubt, r"may have been received"),
        ({"action": "drop_in_body"}, InDoubt, r"may have been received"),
        ({"action": "stall"}, InDoubt, r"may have been received \(.*timed out"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_end_of_a_request_has_its_error_and_is_sent_once(
    hook: WebflowHook, simulator: SimulatorProcess, fault: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    simulator.faults([fault])
    with pytest.raises(error, match=sentence):
        hook.send_event(**event())
    assert simulator.summary()["requests"] == 1


PORTAL = b"<html><title>Guest Wi-Fi</title>Please log in</html>"


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (200, InDoubt, r"but the answer is not Webflow's \(HTTP 200, text/html, Server: portal: “Guest Wi-Fi Please log in”\)"),
        (302, Unusable, r"as no API would \(HTTP 302, text/html, Server: portal: “Guest Wi-Fi"),
        (401, Stopped, r"not Webflow's API refuses .* HTTP 401, text/html, Server: portal: “Guest Wi-Fi"),
        (403, Stopped, r"not Webflow's API refuses .* HTTP 403, text/html, Server: portal: “Guest Wi-Fi"),
    ],
)
def test_single_calls_say_who_answered_in_webflow_s_place(
    monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception], sentence: str
) -> None:
    with Server(lambda *_: saying(status, "Content-Type: text/html", "Server: portal", body=PORTAL)) as server:
        connect(monkeypatch, host=server.url, login=CUSTOMER_ID, password=TOKEN)
        with pytest.raises(error, match=sentence):
            WebflowHook().send_event(**event())
        could, words = WebflowHook().test_connection()
        assert (could, "Guest Wi-Fi" in words or status == 302) == (False, True), words
        if status in (401, 403):
            with pytest.raises(Stopped, match="Guest Wi-Fi"):
                WebflowHook().check_token()


@pytest.mark.parametrize(
    "form",
    [
        lambda body: saying(201, body=body),
        lambda body: saying(200, "Content-Encoding: gzip", body=gzip.compress(body)),
        lambda body: saying(200, body=b'{"data": ' + body + b"}"),
        lambda body: saying(200, body=body.replace(b"149.99", b"149.99000000000001")),
    ],
)
def test_an_echo_in_another_form_is_an_echo_for_a_single_call_too(
    monkeypatch: pytest.MonkeyPatch, form: Callable[[bytes], bytes]
) -> None:
    with Server(lambda _, body: form(body)) as server:
        connect(monkeypatch, host=server.url, login=CUSTOMER_ID, password=TOKEN)
        WebflowHook().send_event(**event())


HEADERS, BODY = b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"


@pytest.mark.parametrize("beginning", [HEADERS, BODY], ids=["headers", "body"])
def test_every_call_ends_with_its_time_out_however_slowly_the_answer_drips(
    monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    with dripping(beginning) as url:
        connect(monkeypatch, host=url, login=CUSTOMER_ID, password=TOKEN, extra={"timeout_seconds": 0.5})
        with pytest.raises(InDoubt, match=r"timed out after 5\d\d milliseconds"):
            WebflowHook().send_event(**event())
        WebflowHook().check_token()
        assert WebflowHook().test_connection()[0] is False
        if beginning is HEADERS:
            with pytest.raises(Unavailable, match=r"timed out after 5\d\d milliseconds"):
                WebflowHook().probe()


def test_where_nobody_listens_nothing_was_received(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, host=f"http://127.0.0.1:{free_port()}", login="1", password="t")
    with pytest.raises(Unavailable, match=r"did not take event 23823940 now \(curl 7: Failed to connect .*\)"):
        WebflowHook().send_event(**event())
    with pytest.raises(Unavailable, match=r"The API of connection webflow_default does not answer: curl 7: Failed to connect"):
        WebflowHook().probe()
    could, words = WebflowHook().test_connection()
    assert (could, "does not answer" in words) == (False, True)


def test_where_no_tls_is_spoken_nothing_was_received(monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> None:
    connect(monkeypatch, host=simulator.url.replace("http://", "https://"), login=CUSTOMER_ID, password=TOKEN)
    with pytest.raises(Unavailable, match=r"did not take event 23823940 now \(curl 35:"):
        WebflowHook().send_event(**event())
    assert simulator.events() == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"action_timestamp": datetime(2026, 1, 1)}, r"action_timestamp has no time zone"),
        ({"action_timestamp": datetime(2020, 1, 1, tzinfo=UTC)}, r"older than 2 days or in the future"),
        ({"action_timestamp": datetime(2120, 1, 1, tzinfo=UTC)}, r"older than 2 days or in the future"),
        ({"event_name": "an event"}, r"event_name 'an event' is not 1 to 40 printable ASCII characters"),
        ({"event_name": ""}, r"event_name '' is not"),
        ({"user_domain": ""}, r"must not be empty"),
        ({"user_id": ""}, r"must not be empty"),
        ({"action_id": ""}, r"must not be empty"),
        ({"user_id": "jane@example.com"}, r"user_id looks like an e-mail address"),
        ({"user_domain": "jane@example.com"}, r"user_domain or action_id holds an e-mail address"),
        ({"action_id": "order-jane@example.com"}, r"user_domain or action_id holds an e-mail address"),
        ({"event_name": "jane@example.com"}, r"event_name"),
        ({"value": -1}, r"value -1 is no number from 0 on \(negative_value\)"),
        ({"value": "€5"}, r"value '€5' is no number from 0 on \(invalid_value\)"),
        ({"value": float("nan")}, r"value nan is no number"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_webflow_would_not_count_is_not_sent(
    hook: WebflowHook, simulator: SimulatorProcess, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Unusable, match=sentence):
        hook.send_event(**event(**changes))
    assert simulator.summary()["requests"] == 0


@pytest.mark.parametrize("value", [None, 0, 1.005, Decimal("149.994")])
def test_a_value_may_be_left_out_and_is_rounded_half_up(hook: WebflowHook, simulator: SimulatorProcess, value: Any) -> None:
    hook.send_event(**event(value=value))
    (stored,) = simulator.events()
    assert json.loads(stored["body"]).get("value") == {None: None, 0: 0, 1.005: 1.01}.get(value, 149.99)


def test_the_log_has_the_action_and_neither_user_nor_token(
    hook: WebflowHook, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Airflow's own loggers write to the output of the task."""
    caplog.set_level("DEBUG")
    hook.send_event(**event())
    told = caplog.text + capsys.readouterr().out
    assert "event 23823940 was received" in told
    assert "72349876" not in told
    assert TOKEN not in told


# The token


def keeping(authorizations: list[tuple[str, str | None]]) -> Answer:
    """Takes every request, and keeps its Authorization header, by method."""

    def answer(head: bytes, body: bytes) -> bytes:
        first, *headers = head.decode().splitlines()
        found = dict(header.split(": ", 1) for header in headers if header)
        authorizations.append((first.split(" ", 1)[0], found.get("Authorization")))
        return ok(head, body)

    return answer


@pytest.mark.parametrize("entry", ["default", "machine 127.0.0.1"])
def test_a_netrc_neither_replaces_the_token_nor_tells_webflow_another_host_s_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"{entry} login pypi-robot password secret-of-another-host\n")
    monkeypatch.setenv("NETRC", str(netrc))
    authorizations: list[tuple[str, str | None]] = []
    with Server(keeping(authorizations)) as api:
        connect(monkeypatch, host=api.url, login=CUSTOMER_ID, password=TOKEN)
        WebflowHook().probe()
        WebflowHook().send_event(**event())
        WebflowHook().test_connection()
    assert authorizations == [(method, f"ApiKey {TOKEN}") for method in ("HEAD", "POST", "POST")]


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    authorizations: list[tuple[str, str | None]] = []
    with Server(keeping(authorizations)) as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        connect(monkeypatch, host="http://webflow.invalid", login=CUSTOMER_ID, password=TOKEN, extra={"allow_http": True})
        WebflowHook().probe()
        WebflowHook().send_event(**event())
    assert authorizations == [("HEAD", f"ApiKey {TOKEN}"), ("POST", f"ApiKey {TOKEN}")]


def test_no_proxy_reads_what_is_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    authorizations: list[tuple[str, str | None]] = []
    with Server(keeping(authorizations)) as proxy, Server() as api:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        connect(monkeypatch, host=api.url, login=CUSTOMER_ID, password=TOKEN)
        WebflowHook().send_event(**event())
        assert len(api.got) == 1
    assert authorizations == []


def test_every_call_refuses_to_send_the_token_unencrypted_before_anything_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    authorizations: list[tuple[str, str | None]] = []
    with Server(keeping(authorizations)) as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        connect(monkeypatch, host="http://webflow.invalid", login=CUSTOMER_ID, password=TOKEN)
        connect(monkeypatch, "webflow_data", host="http://webflow.invalid", password=TOKEN, extra={"site_id": "5" * 24})
        calls = [WebflowHook().probe, WebflowHook().check_token, WebflowHook().get_conn, WebflowDataHook().get_conn]
        for call in [*calls, lambda: WebflowHook().send_event(**event())]:
            with pytest.raises(Unusable, match="would send its token unencrypted to"):
                call()
        for could, words in (WebflowHook().test_connection(), WebflowDataHook().test_connection()):
            assert (could, "would send its token unencrypted to" in words) == (False, True)
    assert authorizations == []


PROXIES = [
    "http://robot:canary@127.0.0.1:{port}",
    "http://robot:canary@no-such-host.invalid:3128",
    "ftp://robot:canary@127.0.0.1:{port}",
    "http://robot:canary@[::1",
    "http://robot:canary@127.0.0.1:port",
    "http://robot:can/canary@127.0.0.1:{port}",
    "http://robot:can canary@127.0.0.1:{port}",
    "http://robot:can'canary@127.0.0.1:port",
    "robot:canary@127.0.0.1:{port}",
    "socks5h://robot:canary@127.0.0.1:{port}",
    "https://robot:canary@127.0.0.1:{port}",
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_password_of_a_proxy_is_told_by_no_call(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy.format(port=free_port()))
    connect(monkeypatch, host="https://webflow.invalid", login=CUSTOMER_ID, password=TOKEN, extra={"timeout_seconds": 2})
    said = []
    for call in (WebflowHook().probe, lambda: WebflowHook().send_event(**event())):
        with pytest.raises(ConversionsError) as refused:
            call()
        said.append(str(refused.value))
    said.append(WebflowHook().test_connection()[1])
    assert [words for words in said if "canary" in words or "robot" in words] == []


# The clock


@pytest.mark.parametrize(("ahead", "least", "most"), [(0, 0, 0), (90, 88, 91), (-90, -91, -88)])
def test_a_probe_tells_how_far_the_api_s_clock_is_away(
    hook: WebflowHook, simulator: SimulatorProcess, ahead: float, least: float, most: float
) -> None:
    simulator.clock(ahead)
    probe = hook.probe()
    assert probe.clock_offset is not None
    assert least <= probe.clock_offset.total_seconds() <= most


def test_a_probe_stores_nothing_and_tells_the_status(hook: WebflowHook, simulator: SimulatorProcess) -> None:
    assert isinstance(hook.probe(), Probe)
    assert simulator.events() == []


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Mon, 23 Nov 2026 22:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 22:00:01 GMT", 0),
        ("Mon, 23 Nov 2026 22:00:03 GMT", 1.5),
        ("Mon, 23 Nov 2026 21:59:59 GMT", 0),
        ("Mon, 23 Nov 2026 21:59:58 GMT", -1),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("Mon, 23 Nov 2026 22:00:00 -0000", None),
        ("Tue, 24 Nov 2026 12:00:00 GMT", 14 * 3600 - 1.5),
        ("Mon, 23 Nov 2026 10:00:00 GMT", -12 * 3600 + 1),
        ("Wed, 25 Nov 2026 22:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("99999999999999999999 Nov 2026 10:00:00 GMT", None),
        ("Mon, 23 Nov 2026 22:00:00 +99999999999999999999", None),
    ],
)
def test_an_offset_is_what_a_header_of_whole_seconds_proves(date: str | None, seconds: float | None) -> None:
    """The request left at 22:00:00, and its answer was there 1.5 seconds later."""
    sent_at = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
    found = _clock_offset(date, sent_at, sent_at + timedelta(seconds=1.5))
    assert found == (None if seconds is None else timedelta(seconds=seconds))


# The connection


@pytest.mark.parametrize(
    ("status", "works", "sentence"),
    [
        (200, True, "took an incomplete event, which can count for nobody"),
        (400, True, "refused an incomplete event (HTTP 400), as it should"),
        (422, True, "(HTTP 422), as it should"),
        (429, True, "asks for fewer requests at this moment"),
        (401, False, "refuses the token (HTTP 401)"),
        (403, False, "refuses the token (HTTP 403)"),
        (404, False, "answers with HTTP 404, which the conversions API does not: check the API host"),
        (302, False, "answers with HTTP 302"),
        (500, False, "a failure of its own (HTTP 500): try again later"),
    ],
)
def test_a_test_of_the_connection_says_what_is_proved(
    hook: WebflowHook, simulator: SimulatorProcess, status: int, works: bool, sentence: str
) -> None:
    simulator.faults([{"action": "status", "status": status}])
    could, words = hook.test_connection()
    assert (could, sentence in words) == (works, True), words
    assert TOKEN not in words


def test_a_wrong_token_is_noticed_by_the_test_of_the_connection(
    simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=simulator.url, login=CUSTOMER_ID, password="another")
    could, words = WebflowHook().test_connection()
    assert not could
    assert words == (
        "Webflow refuses the token (HTTP 401): put a valid off-site conversion token (Insights > Tracking settings) into this "
        "connection."
    )


@pytest.mark.parametrize(
    ("token", "look"),
    [
        ("0123456789abcdef" * 4, "which looks like one for the Data API"),
        ("ws-0123456789", "which looks like one for the Data API"),
        ("65427cf400e02b306eaa04a0", "which looks like a site ID"),
        ("987654321", "which is a number, as customer IDs are"),
    ],
)
def test_a_refused_token_that_looks_like_something_else_is_told_by_every_call(
    simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, token: str, look: str
) -> None:
    connect(monkeypatch, host=simulator.url, login=CUSTOMER_ID, password=token)
    for call in (WebflowHook().check_token, partial(WebflowHook().send_event, **event())):
        with pytest.raises(Stopped, match=rf"Webflow refuses the token \(HTTP 401\), {look}: put a valid"):
            call()
    words = WebflowHook().test_connection()[1]
    assert look in words
    assert token not in words


def test_what_was_pasted_around_a_token_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    authorizations: list[tuple[str, str | None]] = []
    with Server(keeping(authorizations)) as api:
        connect(monkeypatch, host=api.url, login=f" {CUSTOMER_ID}", password=f"Bearer '{TOKEN}'\n")
        WebflowHook().send_event(**event())
    assert authorizations == [("POST", f"ApiKey {TOKEN}")]


def test_a_swapped_connection_is_refused_by_every_call_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as api:
        connect(monkeypatch, host=api.url, login=TOKEN, password=CUSTOMER_ID)
        for call in (WebflowHook().probe, WebflowHook().check_token, partial(WebflowHook().send_event, **event())):
            with pytest.raises(Unusable, match="Customer ID and token of connection webflow_default look swapped"):
                call()
        could, words = WebflowHook().test_connection()
        assert (could, words.startswith("Customer ID and token of this connection look swapped")) == (False, True)
    assert api.got == []


def test_a_connection_that_lacks_something_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, login="1")
    could, words = WebflowHook().test_connection()
    assert (could, "has no token" in words) == (False, True)


def test_a_connection_that_does_not_exist_is_named_with_the_way_to_create_it() -> None:
    with pytest.raises(
        Unusable, match=r"There is no connection nowhere: create it under Admin > Connections, or as AIRFLOW_CONN_NOWHERE"
    ):
        WebflowHook("nowhere").get_conn()


QUOTE = r"write #, /, \?, :, @ and % of a user or password as %23"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ('{"conn_type": "postgres", "password": "s3cret", ', r"is no connection: its JSON breaks at character 4\d \(Expecting"),
        ('{"conn_type": "postgres", "password": "s3cret"', r"is no connection: its JSON breaks at character 4\d \(Expecting"),
        ('{"conn_type": "postgres", "login": 123456789}', r"is no connection: its login has to be text, in quotes"),
        ('{"conn_type": "postgres", "password": ["s3cret"]}', r"is no connection: its password has to be text, in quotes"),
        ('{"conn_type": "postgres", "port": "s3cret"}', r"is no connection: its port has to be a number"),
        ("postgres://u:s3cret#x@host/db", rf"is no connection: in its address, {QUOTE}"),
        ("postgres://u:s3cret/x@host:5432/db", rf"is no connection: in its address, {QUOTE}"),
        ("postgres://u:5432#s3cret@host/db", r"AIRFLOW_CONN_WEBFLOW_LEDGER holds a #, which ends an address: write it as %23"),
        ('{"conn_type": "postgres", "extra": "sslmode=require"}', r"The extra of connection webflow_ledger is no JSON object"),
        ('{"conn_type": "postgres", "extra": "[1]"}', r"The extra of connection webflow_ledger is no JSON object"),
        (
            '{"conn_type": "postgres", "extra": {"ssl_mode": "require"}}',
            r"is nothing that PostgreSQL knows \(.*invalid connection option \"ssl_mode\"\): correct it",
        ),
    ],
)
def test_a_connection_that_is_there_and_cannot_be_read_says_why_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, value: str, sentence: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", value)
    with pytest.raises(Unusable, match=sentence) as error:
        ledger_session()
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        "postgres://u:p%23%2F@host:5432/db?sslmode=require",
        '{"conn_type": "postgres", "password": "p#/?:@", "extra": {"sslmode": "require"}}',
        '{"conn_type": "postgres", "extra": ""}',
        "postgres://",
    ],
)
def test_a_connection_that_can_be_read_is_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", value)
    ledger_session()


def test_a_ledger_is_postgresql_and_a_warehouse_speaks_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "webflow_ledger", conn_type="sqlite", host="/tmp/x.db")
    with pytest.raises(Unusable, match=r"Connection webflow_ledger is of type sqlite: the ledger needs PostgreSQL"):
        ledger_session()
    connect(monkeypatch, "warehouse", conn_type="no_such_type")
    with pytest.raises(Unusable, match=r"Connection warehouse of type no_such_type has no hook here: install its provider"):
        warehouse("warehouse")
    connect(monkeypatch, "warehouse", conn_type="fs")
    with pytest.raises(Unusable, match=r"Connection warehouse is of type fs: a warehouse needs a type that speaks SQL"):
        warehouse("warehouse")


@pytest.mark.parametrize(("name", "hook"), [("webflow", WebflowHook), ("webflow_data", WebflowDataHook)])
def test_each_connection_type_has_its_form_and_its_hook(name: str, hook: Any) -> None:
    types = {each["connection-type"]: each["hook-class-name"] for each in get_provider_info()["connection-types"]}
    assert types[name] == f"{hook.__module__}.{hook.__name__}"
    assert hook.conn_type == name
    assert len(types) == 2
