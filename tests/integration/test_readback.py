"""Read-back: Webflow's Data API through the hook, the ledger's figures beside it, and the task that compares them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import AirflowSkipException

from demo.postgres import free_port
from demo.simulator import SimulatorProcess
from demo.simulator.account import SITE_ID
from demo.simulator.site import Kind, Report
from tests.night import CUSTOMER_ID, NOW, TOKEN, Night
from tests.rows import put
from tests.servers import Server, dripping, saying
from tests.surroundings import CONFIGURATION, Surroundings
from webflow_conversions.errors import Unavailable, Unfinished, Unusable
from webflow_conversions.hooks import webflow_data
from webflow_conversions.hooks.webflow_data import WebflowDataHook
from webflow_conversions.ledger.erasure import Erasure, People
from webflow_conversions.ledger.readback import ReadbackRecord
from webflow_conversions.ledger.retention import hashed_user_id
from webflow_conversions.operators.read_back import ReadBackOperator
from webflow_conversions.pipeline.readback import ReadDay, SentDay, WebflowGoal
from webflow_conversions.rules.readings import Reading

DATA_TOKEN = "data-token-of-the-tests"
DAY = timedelta(days=1)
TODAY = NOW.date()
YESTERDAY = TODAY - DAY
GOALS = [{"goal_id": "1234", "event_name": "offline-purchase"}, {"goal_id": "99", "event_name": "lead"}]


@pytest.fixture(scope="module")
def running_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator with a Data API."""
    with SimulatorProcess(
        tmp_path_factory.mktemp("simulator") / "events.db", TOKEN, CUSTOMER_ID, data_token=DATA_TOKEN
    ) as simulator:
        yield simulator


@pytest.fixture
def site(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> SimulatorProcess:
    """A site with two goals, and the connection to it."""
    simulator.clear_site()
    simulator.clock(0)
    simulator.goals(GOALS)
    connect(monkeypatch, simulator.url)
    return simulator


def connect(monkeypatch: pytest.MonkeyPatch, host: str, **fields: Any) -> None:
    connection = {
        "conn_type": "webflow_data",
        "host": host,
        "password": DATA_TOKEN,
        "extra": {"site_id": SITE_ID, "timeout_seconds": 5},
    }
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_DATA", json.dumps(connection | fields))


def try_it() -> tuple[bool, str]:
    return WebflowDataHook().test_connection()


def document(body: object, *headers: str, status: int = 200) -> bytes:
    return saying(status, "Content-Type: application/json", *headers, body=json.dumps(body).encode())


def read(goal_id: str = "1234", since: date = YESTERDAY, until: date = TODAY) -> dict[date, int] | None:
    with WebflowDataHook().get_conn() as analyze:
        return analyze.conversions(goal_id, since, until)


# The connection


def test_the_test_says_how_many_goals_there_are_and_whether_they_have_names(site: SimulatorProcess) -> None:
    assert try_it() == (
        True,
        "The site's goals can be read: 2. Webflow does not name their events: set readback.goals.",
    )
    site.account(goals_have_names=True)
    assert try_it() == (True, "The site's goals can be read: 2. Webflow names the events of 2.")


@pytest.mark.parametrize(
    ("account", "sentence"),
    [
        ({"scopes": []}, "lacks the scope sites:read"),
        ({"add_ons": ["optimize"]}, "has no Analyze add-on, or its token may not read the site (This endpoint requires the Analyze"),
        ({"answer_status": 503}, "answers with a failure of its own (HTTP 503): try again later."),
        ({"answer_status": 400}, "refuses to be read (HTTP 400: The simulator was told to answer 400.): compare it with"),
    ],
    ids=str,
)  # fmt: skip
def test_the_test_says_in_one_sentence_what_is_wrong_with_the_site(
    site: SimulatorProcess, account: dict[str, Any], sentence: str
) -> None:
    site.account(**account)
    is_well, told = try_it()
    assert not is_well
    assert sentence in told
    assert DATA_TOKEN not in told


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"password": "another"}, "Webflow does not know the API token of this connection (HTTP 401): put one from Site settings > Apps & integrations"),
        ({"password": CUSTOMER_ID, "extra": {"site_id": CUSTOMER_ID}}, "The site ID of this connection is a number, as customer IDs are"),
        ({"password": SITE_ID, "extra": {"site_id": DATA_TOKEN}}, "The token of this connection is a site ID: put that into its Site ID"),
        ({"password": "***"}, "The token of this connection is a placeholder"),
        ({"host": "https://log.intellimize.co"}, "The host of this connection is the conversions API's"),
        ({"password": ""}, "This connection has no token"),
        ({"password": "two words"}, "holds a space or a character that none has"),
        ({"extra": {}}, "This connection has no site ID"),
        ({"extra": {"site_id": "../sites/x"}}, "has no site ID, or one that is none"),
        ({"extra": {"site_id": "65427cf400e02b306eaa04a1"}}, "Webflow knows no site with the site_id of this connection"),
        ({"host": "http://data.example.com"}, "would send its token unencrypted to http://data.example.com: use an address with https://"),
        ({"host": "https://me:secret@api.webflow.com"}, "holds a login or a token: put them into the fields that are for them."),
        ({"host": "no host"}, "which is no address such as https://api.webflow.com."),
        ({"extra": {"site_id": SITE_ID, "timeout_seconds": 0}}, "timeout_seconds of this connection is 0: set a number"),
        ({"conn_type": "webflow_data", "host": f"http://127.0.0.1:{free_port()}"}, "does not answer: curl 7: Failed to connect to 127.0.0.1"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_the_test_says_in_one_sentence_what_is_wrong_with_the_connection(
    site: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], sentence: str
) -> None:
    connect(monkeypatch, **{"host": site.url, **fields})
    is_well, told = try_it()
    assert not is_well
    assert sentence in told


def test_the_address_is_that_of_the_published_api_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("", "https://api.webflow.com", "https://api.webflow.com/v2/"):
        connect(monkeypatch, host)
        assert WebflowDataHook().get_conn()._api.url == f"https://api.webflow.com/v2/sites/{SITE_ID}/analyze"
    assert DATA_TOKEN not in repr(WebflowDataHook().get_conn()._api)


# What the API answers


def test_the_conversions_of_the_days_are_read(site: SimulatorProcess) -> None:
    shown = {"timestamp": f"{YESTERDAY}T00:00:00.000Z", "count": 7}
    assert read() == {}
    with Server(lambda *_: document({"data": [shown]})) as server, pytest.MonkeyPatch.context() as patch:
        connect(patch, server.url)
        assert read() == {YESTERDAY: 7}


def test_a_goal_that_is_not_there_is_no_error(site: SimulatorProcess) -> None:
    assert read("7") is None


def test_a_hundred_days_can_be_read_at_once(site: SimulatorProcess) -> None:
    assert read(since=TODAY - 100 * DAY) == {}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, r"Webflow's answer has no list 'data': the Data API has changed"),
        ({"data": {}}, r"has no list 'data'"),
        ({"data": [{"count": 1}]}, r"has a day without a moment 'timestamp'"),
        ({"data": ["x"]}, r"has a day without a moment 'timestamp'"),
        ({"data": [{"timestamp": "2026-11-22T00:00:00Z", "users": 1}]}, r"without a count: its fields are timestamp, users"),
        ({"data": [{"timestamp": "2026-11-22T00:00:00Z", "count": -1}]}, r"without a count"),
        ({"data": [{"timestamp": "2026-11-22T05:00:00Z", "count": 1}]}, r"a day that begins at 05:00 UTC: it cannot be compared"),
        ({"data": [], "bucketing": {"bucketTimeZone": "America/New_York"}}, r"by day in the time zone America/New_York, and days of UTC"),
        ({"data": [], "bucketing": {"granularityPeriod": "week"}}, r"counts by week in the time zone UTC"),
        ({"data": [], "nextCursor": "on"}, r"has more than 100 pages of 'data'"),
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_that_cannot_be_compared_is_refused_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, body: object, sentence: str
) -> None:
    with Server(lambda *_: document(body)) as server:
        connect(monkeypatch, server.url)
        with pytest.raises(Unusable, match=sentence):
            read()


@pytest.mark.parametrize("status", [200, 400, 403, 404])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"data": ' + b"[" * 100_000,
        b'{"goals": [' + b'{"goalId": ' * 50_000,
        b'{"data": [], "goals": [], "bucketing": {"bucketTimeZone": [], "granularityPeriod": {}}}',
        b'{"data": [], "goals": [], "bucketing": {"bucketTimeZone": "%s"}}' % (b"x" * 1_000_000),
        b'{"data": [{"timestamp": "0001-01-01T00:00:00+23:59", "count": 1}], "goals": [{"goalId": "\\ud800"}]}',
        b'{"data": [{"timestamp": "2026-11-22T00:00:00Z", "count": 1e400}], "goals": [{"goalId": "\\u0000"}]}',
        b'{"data": [{"timestamp": "2026-11-22T00:00:00Z", "count": 9223372036854775808}], "goals": [{"goalId": "%s"}]}' % (b"x" * 1_000_000),
        b'{"data": [{"timestamp": "2026-11-22T00:00:00Z", "count": %s}], "goals": [{"goalId": %s}]}' % (b"9" * 9_000, b"9" * 9_000),
        b'{"data": [{"timestamp": "2026-11-22T00:00:00Z", "%s": 1}], "goals": [{"goalId": 1, "eventName": "\\ud800"}, 7]}' % (b"x" * 1_000_000),
        b'{"data": [], "goals": [], "nextCursor": {"a": 1}}',
        b'{"data": [], "goals": [], "nextCursor": "\\ud800"}',
        b'{"data": [], "goals": [], "nextCursor": "%s"}' % (b"x" * 1_000_000),
        b'{"data": 1, "goals": 1, "message": "\\ud800", "code": ["\\udfff"]}',
        b'{"data": 1, "goals": 1, "message": "%s"}' % (b"x" * 1_000_000),
        b"\xff\xfe{\x00",
        b"\xef\xbb\xbf{}",
        b'{"data": NaN, "goals": Infinity}',
    ],
    ids=lambda body: repr(body[:60]),
)  # fmt: skip
def test_whatever_the_api_says_is_one_short_sentence(monkeypatch: pytest.MonkeyPatch, body: bytes, status: int) -> None:
    with Server(lambda *_: saying(status, "Content-Type: application/json", body=body)) as server:
        connect(monkeypatch, server.url)
        is_well, told = try_it()
        assert not is_well
        assert len(told) < 1_000
        if status == 404:
            with suppress(Unavailable):
                assert read() is None, "there is no such goal"
        else:
            with pytest.raises((Unusable, Unavailable)) as raised:
                read()
            assert len(str(raised.value)) < 1_000


def test_goals_that_come_in_pages_are_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(head: bytes, _: bytes) -> bytes:
        if b"cursor=second" in head:
            return document({"goals": [{"goalId": 2, "eventName": ""}], "nextCursor": None})
        return document({"goals": [{"goalId": "1", "eventName": "lead"}], "nextCursor": "second"})

    with Server(page) as server:
        connect(monkeypatch, server.url)
        with WebflowDataHook().get_conn() as analyze:
            assert analyze.goals() == [WebflowGoal("1", "lead"), WebflowGoal("2")]
        assert len(server.got) == 2


def test_a_page_of_somebody_else_is_told_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda *_: saying(200, "Content-Type: text/html", "Server: portal", body=b"Please log in")) as server:
        connect(monkeypatch, server.url)
        with pytest.raises(
            Unavailable, match=r"not answered by Webflow's Data API: HTTP 200, text/html, Server: portal: “Please"
        ):
            read()


def test_a_redirect_is_not_followed_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as other, Server(lambda *_: saying(302, f"Location: {other.url}/")) as server:
        connect(monkeypatch, server.url)
        with pytest.raises(Unavailable, match="HTTP 302"):
            read()
        assert other.got == []


@pytest.mark.parametrize("drops", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_an_answer_that_comes_byte_by_byte_ends_with_the_time_out(monkeypatch: pytest.MonkeyPatch, drops: bytes) -> None:
    with dripping(drops) as url:
        connect(monkeypatch, url, extra={"site_id": SITE_ID, "timeout_seconds": 0.5})
        with pytest.raises(Unavailable, match=r"timed out after 5\d\d milliseconds"):
            read()
        assert "timed out after 5" in try_it()[1]


def test_a_list_without_an_end_is_given_up_when_the_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: bytes) -> bytes:
        time.sleep(0.1)
        return document({"goals": [], "nextCursor": "more"})

    with Server(slow) as server:
        connect(monkeypatch, server.url)
        with (
            WebflowDataHook().get_conn(patience_seconds=0.25) as analyze,
            pytest.raises(Unavailable, match=r"takes more than 0\.25 s for a list"),
        ):
            analyze.goals()
        assert len(server.got) == 3


def test_a_whole_read_uses_one_connection_and_one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda *_: document({"goals": [], "data": []})) as server:
        connect(monkeypatch, server.url)
        with WebflowDataHook().get_conn() as analyze:
            analyze.goals()
            analyze.conversions("1", YESTERDAY, TODAY)
        assert (server.connections, len(server.got)) == (1, 2)


# Another request with the token


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the hook has waited, without waiting."""
    found: list[float] = []
    monkeypatch.setattr(webflow_data, "sleep", found.append)
    return found


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Retry-After: 3", [3.0, 3.0]),
        (None, [1.0, 2.0]),
        ("Retry-After: nonsense", [1.0, 2.0]),
    ],
)
def test_a_token_that_is_in_use_waits_as_long_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, waited: list[float], header: str | None, expected: list[float]
) -> None:
    answers = iter([saying(429, *filter(None, [header])), saying(429, *filter(None, [header])), document({"data": []})])
    with Server(lambda *_: next(answers)) as server:
        connect(monkeypatch, server.url)
        assert read() == {}
    assert waited == expected


def test_retry_after_may_be_a_date(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    answers = iter([saying(429, f"Retry-After: {until}"), document({"data": []})])
    with Server(lambda *_: next(answers)) as server:
        connect(monkeypatch, server.url)
        assert read() == {}
    (seconds,) = waited
    assert 0 < seconds <= 60


def test_a_token_that_stays_in_use_is_left_for_a_later_try(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    with Server(lambda *_: saying(429, "Retry-After: 50")) as server:
        connect(monkeypatch, server.url)
        with pytest.raises(Unavailable, match=r"one request of a token at a time.*wait 50 s more \(HTTP 429\)"):
            read()
    assert waited == [50.0, 50.0]


def test_two_readers_with_one_token_both_read_in_the_end(site: SimulatorProcess) -> None:
    site.account(answer_milliseconds=300)
    found: list[Any] = []
    readers = [threading.Thread(target=lambda: found.append(read())) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [{}, {}]


# The ledger


def judged(verdict: str | None, *readings: str) -> dict[str, Any]:
    visit = json.dumps({"started_at": 1, "last_active_at": 2, "first_viewed_at": 1, "readings": readings})
    return {"attribution": verdict, "visit": visit if readings else None}


def accept(night: Night, name: str, *, ago: timedelta = DAY, sent_ago: timedelta = timedelta(hours=23), **columns: Any) -> int:
    """An accepted conversion of yesterday, sent an hour later by the one push."""
    at = night.clock.at
    if not (found := night.sql("SELECT id FROM webflow.pushes")):
        run = night.begin("earlier").id
        found = night.sql(
            "INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, started_at, expires_at, ended_at)"
            " VALUES (%s, 'webflow_default', 1, 1, 'h', 1, %s, %s, %s) RETURNING id",
            *(run, at - 3 * DAY, at, at),
        )
    given = {"push_id": found[0][0], "sent_at": at - sent_ago, "settled_at": at - sent_ago, "user_id": name}
    columns = {"action_timestamp_ms": int((at - ago).timestamp() * 1000), **given, **columns}
    return put(night, "accepted", **{"conversion_id": name, "action_id": name, **columns})


def test_users_are_counted_once_by_their_best_verdict_and_by_reading(night: Night) -> None:
    accept(night, "a1", user_id="ada", **judged("will_count", "strict", "wide", "lenient"))
    accept(night, "a2", user_id="ada", **judged("will_not_count"))
    accept(night, "b1", user_id="bob", **judged("may_count", "lenient"))
    accept(night, "b2", user_id="bob", **judged("unknown"))
    accept(night, "b3", user_id="bob", user_domain="shop", **judged("unknown", "wide", "lenient"))
    accept(night, "c1", user_id="cid", **judged("will_not_count"))
    accept(night, "d1", user_id="dan", **judged(None))
    (found,) = ReadbackRecord(night.session).sent(TODAY - 7 * DAY, TODAY)
    assert found == SentDay(
        destination="webflow_default",
        event_name="offline-purchase",
        day=YESTERDAY,
        accepted=7,
        users=5,
        verdicts={"will_count": 1, "may_count": 1, "will_not_count": 1, "unknown": 2},
        readings={Reading.STRICT: 1, Reading.WIDE: 2, Reading.LENIENT: 3},
    )


def test_conversions_of_people_who_were_forgotten_are_counted_each_as_a_user(night: Night) -> None:
    accept(night, "a1", user_id="ada", **judged("will_count", "strict", "wide", "lenient"))
    accept(night, "a2", user_id="ada", event_name="lead", **judged("may_count", "lenient"))
    accept(night, "b1", user_id="bob", **judged("may_count", "wide", "lenient"))
    accept(night, "c1", user_id="cid", **judged("will_not_count"))
    accept(night, "d1", user_id="dan", **judged(None))
    before = ReadbackRecord(night.session).sent(YESTERDAY, TODAY)
    assert [(one.accepted, one.users) for one in before] == [(1, 1), (4, 4)]
    for user in ("ada", "bob", "cid"):
        assert Erasure(night.session, People(users=[("crm", user)])).remove(NOW).conversions
    assert ReadbackRecord(night.session).sent(YESTERDAY, TODAY) == before
    accept(night, "d2", user_id="dan", **judged(None))
    Erasure(night.session, People(users=[("crm", "dan")])).remove(NOW)
    (_, after) = ReadbackRecord(night.session).sent(YESTERDAY, TODAY)
    assert (after.accepted, after.users) == (5, 5)


def test_a_user_of_whom_only_a_hash_is_left_in_some_conversions_is_counted_once(night: Night) -> None:
    accept(night, "a1", user_id="ada", **judged("may_count", "lenient"))
    accept(night, "a2", user_id=hashed_user_id("ada"), **judged("will_count", "strict", "wide", "lenient"))
    (found,) = ReadbackRecord(night.session).sent(YESTERDAY, TODAY)
    assert (found.accepted, found.users, found.has("will_count"), found.has("may_count")) == (2, 1, 1, 0)


def test_only_what_the_last_import_can_have_is_counted(night: Night) -> None:
    hour = timedelta(hours=1)
    midnight = timedelta(hours=22)
    accept(night, "last millisecond", ago=midnight + timedelta(milliseconds=1), sent_ago=midnight + timedelta(microseconds=1))
    accept(night, "today", ago=midnight, sent_ago=midnight)
    accept(night, "sent today", sent_ago=midnight)
    accept(night, "first moment", ago=7 * DAY + midnight)
    accept(night, "before", ago=7 * DAY + midnight + timedelta(milliseconds=1))
    accept(night, "another name", event_name="lead")
    put(night, "ready", "not sent", action_timestamp_ms=int((NOW - 23 * hour).timestamp() * 1000))
    found = ReadbackRecord(night.session).sent(TODAY - 7 * DAY, TODAY)
    assert [(one.event_name, one.day, one.accepted) for one in found] == [
        ("lead", YESTERDAY, 1),
        ("offline-purchase", TODAY - 7 * DAY, 1),
        ("offline-purchase", YESTERDAY, 1),
    ]


def test_what_is_read_again_takes_the_place_of_what_was_recorded(night: Night) -> None:
    accept(night, "a1", **judged("will_count", "strict", "wide", "lenient"))
    record = ReadbackRecord(night.session)
    (sent,) = record.sent(YESTERDAY, TODAY)
    for shown in (0, 1):
        record.record([ReadDay(sent=sent, goal_id="1234", shown=shown)], NOW)
    assert record.recorded(YESTERDAY) == [ReadDay(sent=sent, goal_id="1234", shown=1)]
    assert record.recorded(TODAY) == []
    ((expected,),) = night.sql("SELECT expected FROM webflow.readback")
    assert expected == {"will_count": 1, "may_count": 0, "will_not_count": 0, "unknown": 0, "strict": 1, "wide": 1, "lenient": 1}


# The task

READBACK = CONFIGURATION + "readback: {days: 2}\n"


@pytest.fixture
def morning(around: Surroundings, site: SimulatorProcess) -> Surroundings:
    """A ledger, a site that names its goals, and yesterday's sales, of which one was sent."""
    around.configure(READBACK)
    site.account(goals_have_names=True)
    around.plan()
    around.run_id, around.run_type = "scheduled__2026-11-24T01:30:00+00:00", "scheduled"
    return around


def noon() -> datetime:
    """Yesterday at noon."""
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - DAY


def visit(site: SimulatorProcess, user: str) -> None:
    """A visitor who saw a variation yesterday at noon."""
    at = int(noon().timestamp() * 1000)
    site.report(
        [
            Report(f"browser of {user}", at, Kind.PAGE, "/"),
            Report(f"browser of {user}", at, Kind.IDENTIFY, "crm", user),
            Report(f"browser of {user}", at, Kind.VARIATION, "B", "headline"),
        ]
    )


def sell(
    around: Surroundings, site: SimulatorProcess, user: str, verdict: str = "will_count", *, is_received: bool = True
) -> None:
    """A conversion of yesterday, five minutes past noon, as sent and judged."""
    sold = noon() + timedelta(minutes=5)
    if is_received:
        site.clock((sold + timedelta(hours=1) - datetime.now(UTC)).total_seconds())
        event = {"customerId": CUSTOMER_ID, "eventName": "offline-purchase", "userDomain": "crm", "userId": user}
        answer = requests.post(
            f"{site.url}/event",
            json={**event, "actionId": user, "actionTimestamp": int(sold.timestamp() * 1000)},
            headers={"Authorization": f"ApiKey {TOKEN}"},
            timeout=30,
        )
        assert answer.status_code == 200
        site.clock(0)
    around.sql(
        f"""
        WITH push AS (
            INSERT INTO webflow.pushes (run, destination, worker, try_number, host, pid, started_at, expires_at)
            SELECT min(id), 'webflow_default', 1, 1, 'h', 1, '{noon()}', now() FROM webflow.runs RETURNING id
        )
        INSERT INTO webflow.conversions (
            destination, source, event_name, conversion_id, action_id, action_timestamp_ms, user_domain, user_id, state, first_seen_at,
            sent_at, push_id, run_id, attribution, visit
        )
        SELECT 'webflow_default', 'sales', 'offline-purchase', '{user}', '{user}', {int(sold.timestamp() * 1000)}, 'crm', '{user}',
            'accepted', now(), '{sold + timedelta(hours=1)}', id, 'r', '{verdict}', '{{"readings": ["strict", "wide", "lenient"]}}'
        FROM push
        """
    )


def task(around: Surroundings) -> Any:
    return ReadBackOperator(task_id="read_back").execute(around.context())


def test_what_webflow_shows_stands_beside_what_was_sent(morning: Surroundings, site: SimulatorProcess) -> None:
    for user in ("ada", "bob"):
        visit(site, user)
        sell(morning, site, user)
    sell(morning, site, "stranger", "will_not_count")
    done = task(morning)
    yesterday = noon().date()
    assert [(day["day"], day["shown"], day["accepted_users"]) for day in done["readback"]] == [
        (f"{yesterday - DAY}", 0, 0),
        (f"{yesterday}", 2, 3),
    ]
    assert morning.sql("SELECT goal_id, conversions, accepted, accepted_users FROM webflow.readback WHERE accepted > 0") == [
        ("1234", 2, 3, 3)
    ]
    assert done["reading"]["sentence"].startswith("Not enough days yet")
    ((outcome, level),) = morning.sql(f"SELECT outcome, verdict ->> 'level' FROM webflow.runs WHERE run_id = '{morning.run_id}'")
    assert (outcome, level) == ("succeeded", "good")


def test_conversions_that_had_to_count_and_are_not_shown_fail_the_task_and_its_run_says_why(
    morning: Surroundings, site: SimulatorProcess
) -> None:
    sell(morning, site, "ada", is_received=False)
    with pytest.raises(
        Unfinished, match=r"needs somebody: offline-purchase: Webflow shows no conversion on .*of whom 1 had to count"
    ):
        task(morning)
    ((outcome, cause),) = morning.sql(
        f"SELECT outcome, verdict -> 'findings' -> 0 ->> 'cause' FROM webflow.runs WHERE run_id = '{morning.run_id}'"
    )
    assert (outcome, cause) == ("failed", "shows_nothing")


def test_an_event_name_that_no_goal_has_fails_the_task(morning: Surroundings, site: SimulatorProcess) -> None:
    sell(morning, site, "ada")
    site.goals([{"goal_id": "1234", "event_name": "renamed"}])
    with pytest.raises(Unfinished, match="offline-purchase: no goal of the site has this event name"):
        task(morning)


def test_goals_without_names_are_read_by_the_configured_id(morning: Surroundings, site: SimulatorProcess) -> None:
    site.account(goals_have_names=False)
    visit(site, "ada")
    sell(morning, site, "ada")
    assert [finding["cause"] for finding in run_findings(morning, task(morning))] == ["no_goal"]
    morning.configure(CONFIGURATION + 'readback: {days: 1, goals: {offline-purchase: "1234"}}\n')
    assert [day["shown"] for day in task(morning)["readback"]] == [1]


def run_findings(around: Surroundings, _: Any) -> list[dict[str, Any]]:
    ((findings,),) = around.sql(f"SELECT verdict -> 'findings' FROM webflow.runs WHERE run_id = '{around.run_id}'")
    return list(findings)


def test_without_the_key_readback_the_task_is_skipped_and_asks_nobody(morning: Surroundings) -> None:
    morning.configure(CONFIGURATION)
    morning.disconnect("webflow_data")
    with pytest.raises(AirflowSkipException, match="The configuration has no readback"):
        task(morning)
    assert morning.sql(f"SELECT FROM webflow.runs WHERE run_id = '{morning.run_id}'") == []


def test_an_api_that_is_away_can_be_tried_again_and_leaves_the_record_as_it_was(
    morning: Surroundings, site: SimulatorProcess
) -> None:
    visit(site, "ada")
    sell(morning, site, "ada")
    task(morning)
    site.account(goals_have_names=True, answer_status=503)
    with pytest.raises(Unavailable, match="failure of its own"):
        task(morning)
    assert morning.sql("SELECT conversions FROM webflow.readback WHERE accepted > 0") == [(1,)]


def test_a_missing_connection_is_named(morning: Surroundings) -> None:
    morning.disconnect("webflow_data")
    with pytest.raises(Unusable, match="There is no connection webflow_data"):
        task(morning)


# plan


def told_by_plan(around: Surroundings) -> list[str]:
    around.plan()
    ((hints,),) = around.sql(f"SELECT hints FROM webflow.runs WHERE run_id = '{around.run_id}'")
    assert {key.split(" ")[0] for key in hints} <= {"goals_differ"}
    return list(hints.values())


def test_plan_tells_of_an_event_name_that_no_goal_has_and_the_verdict_has_it_as_a_note(
    morning: Surroundings, site: SimulatorProcess
) -> None:
    assert told_by_plan(morning) == []
    site.goals([{"goal_id": "1234", "event_name": "Offline-Purchase"}])
    assert told_by_plan(morning) == ["no goal of the site has the event name offline-purchase"]
    morning.extract()
    for work in morning.identify():
        morning.push(work).execute(morning.context())
    morning.reconcile()
    ((verdict,),) = morning.sql(f"SELECT verdict FROM webflow.runs WHERE run_id = '{morning.run_id}'")
    assert (verdict["level"], [finding["cause"] for finding in verdict["findings"]]) == ("note", ["goals_differ"])


def test_plan_tells_of_goals_that_differ_from_webflow_s(morning: Surroundings) -> None:
    morning.configure(
        READBACK
        + "goals: [{event_name: offline-purchase}, {event_name: deal}, {event_name: old, valid_to: 2026-01-01T00:00:00Z}]\n"
    )
    assert told_by_plan(morning) == ["goals of the configuration has deal, and the site does not"]


@pytest.mark.parametrize("account", [{"answer_status": 503}, {"scopes": []}, {"goals_have_names": False}], ids=str)
def test_goals_that_cannot_be_read_do_not_stop_plan(
    morning: Surroundings, site: SimulatorProcess, account: dict[str, Any]
) -> None:
    site.goals([{"goal_id": "1", "event_name": "nothing"}])
    site.account(**{"goals_have_names": True, **account})
    assert told_by_plan(morning) == []
    morning.disconnect("webflow_data")
    assert told_by_plan(morning) == []
