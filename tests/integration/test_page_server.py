"""The page can never harm Airflow's API server, in whose process it lives: a real server, with routes of Airflow's beside the page.

Airflow's own routes answer here in some hundredths of a second. What the page can cost them is asserted with wide bounds.
"""

import asyncio
import gc
import re
import runpy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import pytest
import requests
import uvicorn
from fastapi import FastAPI

from demo.postgres import PostgresServer
from tests.chaos.network import Network
from tests.night import DESTINATION, Night
from tests.page import HTML, SAME, login
from webflow_conversions.ui.ledger import TooLong, reading
from webflow_conversions.ui.threads import THREADS

PATIENCE_SECONDS = 90
"""After which a test gives up on an answer."""
AT_ONCE_SECONDS = 5.0
"""The longest that a route of Airflow's may take beside a page in trouble; on an idle machine it takes 0.02."""
MANY_ROWS = 40_000
"""Conversions whose file is larger than all that a network holds of it between server and reader."""


class Server:
    """Airflow's API server on a port of this machine."""

    def __init__(self, app: FastAPI) -> None:
        self.port = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not self._server.started:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._listener])

    def collect_garbage(self) -> None:
        """Collect it in the event loop, where it may happen at any moment; does not wait for it."""
        self._loop.call_soon_threadsafe(gc.collect)

    def get(self, path: str, user: str = "ada", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {login(user)}", **options.pop("headers", {})}
        return requests.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE_SECONDS, allow_redirects=False, **options)

    def airflow_seconds(self, times: int = 3) -> float:
        """The longest that routes of Airflow's own took, one after the other."""
        longest = 0.0
        for _ in range(times):
            for path in ("/api/v2/version", "/api/v2/monitor/health"):
                began = time.monotonic()
                assert requests.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS).status_code == 200
                longest = max(longest, time.monotonic() - began)
        return longest

    def form(self, path: str, user: str = "ada") -> bytes:
        """A form of the page as a browser posts it."""
        cookies = {"_token": login(user)}
        page = requests.get(f"{self.url}/webflow/conversions", headers=HTML, cookies=cookies, timeout=PATIENCE_SECONDS).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found
        body = f"csrf_token={found[1]}".encode()
        lines = [
            f"POST /webflow{path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Cookie: _token={login(user)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in SAME.items()),
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def ask(self, request: bytes, *, receives: int = 4_096) -> socket.socket:
        """Send a request, and read nothing of the answer."""
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        reader.connect(("127.0.0.1", self.port))
        reader.settimeout(PATIENCE_SECONDS)
        reader.sendall(request)
        return reader


@pytest.fixture(scope="module")
def server(airflow: FastAPI) -> Iterator[Server]:
    with Server(airflow) as made:
        yield made


@pytest.fixture
def network(page_night: Night, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """The network between the page and its ledger."""
    with page_night.session.transaction() as cursor:
        name = cursor.connection.info.dbname
    with Network(postgres.port) as made:
        monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", f"postgres://postgres@127.0.0.1:{made.port}/{name}")
        yield made


def put_many(night: Night, rows: int = MANY_ROWS) -> None:
    """Refused conversions straight into the ledger."""
    night.sql("INSERT INTO webflow.destinations (destination) VALUES (%s) ON CONFLICT DO NOTHING", DESTINATION)
    night.sql(
        """
        INSERT INTO webflow.conversions (destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value,
            user_domain, user_id, state, reason, detail, settled_at, first_seen_at, run_id)
        SELECT %s, 'sales', 'offline-purchase', 'c' || n, %s || '/sales/offline-purchase/c' || n,
            floor(extract(epoch FROM now()) * 1000) - 3600000, 10, 'crm', 'u' || n, 'rejected', 'refused_422',
            repeat('why ', 50), now(), now(), 'earlier'
        FROM generate_series(1, %s) AS n
        """,
        DESTINATION,
        DESTINATION,
        rows,
    )


SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'webflow_conversions'"


def sessions(night: Night) -> int:
    """The page's sessions on the ledger."""
    ((count,),) = night.sql(SESSIONS)
    return int(count)


def comes_true(holds: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def locked(night: Night, table: str) -> Iterator[None]:
    with closing(night.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE webflow.{table} IN ACCESS EXCLUSIVE MODE")
        yield


# Downloads


def test_downloads_that_nobody_reads_cost_the_page_and_airflow_nothing(server: Server, page_night: Night):
    put_many(page_night)
    request = server.form("/download?state=rejected")

    readers = [server.ask(request) for _ in range(8)]
    try:
        time.sleep(2)
        is_given_back = comes_true(lambda: sessions(page_night) == 0)
        page = server.get("/webflow/api/conversions?state=rejected&rows=1")
        airflow_seconds = server.airflow_seconds()
    finally:
        for reader in readers:
            reader.close()

    assert page.status_code == 200
    assert is_given_back
    assert airflow_seconds < AT_ONCE_SECONDS


def test_a_download_that_ends_while_its_record_is_locked_holds_nobody_up(server: Server, page_night: Night):
    put_many(page_night)
    request = server.form("/download?state=rejected")
    readers = [server.ask(request) for _ in range(2)]
    assert {reader.recv(1) for reader in readers} == {b"H"}
    time.sleep(2)

    with locked(page_night, "actions"):
        for reader in readers:
            reader.close()
        time.sleep(1)
        server.collect_garbage()
        answered: list[float] = []
        asking = threading.Thread(target=lambda: answered.append(server.airflow_seconds(5)))
        asking.start()
        asking.join(2 * AT_ONCE_SECONDS)
        was_answered = list(answered)
    asking.join(PATIENCE_SECONDS)

    assert was_answered
    assert was_answered[0] < AT_ONCE_SECONDS


@pytest.fixture
def two_downloads(server: Server, page_night: Night) -> Iterator[list[socket.socket]]:
    """As many as there may be at a time, whose readers read nothing."""
    put_many(page_night)
    request = server.form("/download?state=rejected")
    readers = [server.ask(request) for _ in range(2)]
    assert {reader.recv(1) for reader in readers} == {b"H"}
    yield readers
    for reader in readers:
        reader.close()


def download(server: Server) -> bytes:
    """The first line of the answer to another download."""
    with server.ask(server.form("/download?state=held")) as reader:
        return reader.recv(100).partition(b"\r\n")[0]


def test_more_downloads_than_two_at_a_time_are_asked_to_come_again(server: Server, two_downloads: list[socket.socket]):
    with server.ask(server.form("/download?state=held")) as reader:
        answer = read_all(reader)

    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 5" in answer
    assert b"Others are downloading" in answer


def test_a_download_ends_as_soon_as_its_reader_is_gone(
    server: Server, two_downloads: list[socket.socket], page_night: Night, monkeypatch: pytest.MonkeyPatch
):
    for reader in two_downloads:
        for _ in range(1_000):
            assert reader.recv(4_096)
        reader.close()

    assert comes_true(lambda: download(server).endswith(b"200 OK"))
    assert comes_true(lambda: 0 not in downloaded(page_night))
    assert max(downloaded(page_night)) < MANY_ROWS


def downloaded(night: Night) -> list[int]:
    """How many conversions the first downloads had."""
    return [conversions for (conversions,) in night.sql("SELECT conversions FROM webflow.actions ORDER BY id LIMIT 2")]


def test_a_reader_who_takes_nothing_is_waited_for_no_longer_than_a_while(
    server: Server, page_night: Night, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("webflow_conversions.ui.download.STALL_SECONDS", 1.0)
    put_many(page_night)
    request = server.form("/download?state=rejected")

    readers = [server.ask(request) for _ in range(2)]

    assert comes_true(lambda: download(server).endswith(b"200 OK"))
    for reader in readers:
        assert not read_all(reader).endswith(b"0\r\n\r\n")  # the end of a whole answer


def test_a_reader_of_a_byte_at_a_time_is_waited_for_no_longer_than_a_download_may_take(
    server: Server, page_night: Night, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("webflow_conversions.ui.download.LONGEST_SECONDS", 3.0)
    put_many(page_night)
    request = server.form("/download?state=rejected")
    is_over = threading.Event()

    def drip(reader: socket.socket) -> None:
        with suppress(OSError):
            while not is_over.is_set() and reader.recv(1):
                time.sleep(0.05)

    readers = [server.ask(request) for _ in range(2)]
    drips = [threading.Thread(target=drip, args=[reader]) for reader in readers]
    try:
        for one in drips:
            one.start()
        assert comes_true(lambda: download(server).endswith(b"200 OK"))
    finally:
        is_over.set()
        for one in drips:
            one.join(PATIENCE_SECONDS)
    for reader in readers:
        assert not read_all(reader).endswith(b"0\r\n\r\n")


def test_a_download_that_breaks_off_does_not_look_whole(server: Server, page_night: Night, monkeypatch: pytest.MonkeyPatch):
    put_many(page_night)
    with server.ask(server.form("/download?state=rejected")) as reader:
        assert reader.recv(1) == b"H"
        assert comes_true(lambda: sessions(page_night) == 0)
        monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", "postgres://nobody@127.0.0.1:1/nowhere")
        answer = read_all(reader)

    assert answer.startswith(b"TTP/1.1 200 OK")
    assert not answer.endswith(b"0\r\n\r\n")


def read_all(reader: socket.socket) -> bytes:
    pieces = []
    with suppress(OSError), closing(reader):
        while piece := reader.recv(1_000_000):
            pieces.append(piece)
    return b"".join(pieces)


def test_a_whole_download_has_all_rows_once(server: Server, page_night: Night):
    put_many(page_night)
    with server.ask(server.form("/download?state=rejected"), receives=1_000_000) as reader:
        text = b""
        while not text.endswith(b"0\r\n\r\n"):
            piece = reader.recv(1_000_000)
            assert piece
            text += piece
    ids = re.findall(rb"sales,(c\d+),", text)
    assert len(ids) >= MANY_ROWS * 0.99  # a few are cut by the marks between pieces
    assert len(set(ids)) == len(ids)
    assert comes_true(lambda: page_night.sql("SELECT conversions FROM webflow.actions") == [(MANY_ROWS,)])


# Many viewers, and a ledger in trouble


VIEWERS = 150
"""More than Airflow's API server has threads (40), and than the page serves at a time."""


@contextmanager
def many(server: Server, path: str) -> Iterator[list[Future[requests.Response]]]:
    """Asks for a path many times at once."""
    with ThreadPoolExecutor(VIEWERS) as pool:
        asked = [pool.submit(server.get, path) for _ in range(VIEWERS)]
        time.sleep(1)
        yield asked


@pytest.mark.parametrize("path", ["/webflow/api/conversions?state=held", "/webflow/api/overview"])
def test_many_viewers_of_a_slow_ledger_do_not_slow_airflow_down(server: Server, page_night: Night, path: str):
    with locked(page_night, "conversions"), many(server, path):
        assert server.airflow_seconds() < AT_ONCE_SECONDS


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue is full: what knocks there is dropped, and hears nothing."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("trouble", ["accepts and says nothing", "drops what comes", "refuses"])
def test_a_ledger_that_is_away_is_a_sentence_in_time_and_comes_back(
    server: Server, page_night: Night, network: Network, trouble: str, monkeypatch: pytest.MonkeyPatch
):
    uri = f"postgres://postgres@127.0.0.1:{network.port}/{page_night.connect().info.dbname}"
    with black_hole() as hole:
        match trouble:
            case "accepts and says nothing":
                network.cut()
            case "drops what comes":
                monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", uri.replace(str(network.port), str(hole)))
            case _:
                monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", uri.replace(str(network.port), "1"))
        with many(server, "/webflow/api/conversions?state=held") as asked:
            airflow_seconds = server.airflow_seconds()
            answers = [one.result() for one in asked]
    network.mend()
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", uri)

    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "5")}
    assert airflow_seconds < AT_ONCE_SECONDS
    assert comes_true(lambda: server.get("/webflow/api/conversions?state=held").status_code == 200)


def test_a_ledger_that_falls_silent_in_the_middle_is_given_up(
    page_night: Night, network: Network, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("webflow_conversions.ui.ledger.READ_SECONDS", 0.5)
    monkeypatch.setattr("webflow_conversions.ui.ledger.GRACE_SECONDS", 0.5)

    def ask() -> None:
        with reading() as session:
            session.fetch("search/last_run", {})
            network.cut()
            session.fetch("search/last_run", {})

    with pytest.raises(TooLong):
        ask()
    network.mend()


def test_many_statements_have_no_more_time_than_one(page_night: Night, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("webflow_conversions.ui.ledger.READ_SECONDS", 0.5)
    monkeypatch.setattr("webflow_conversions.ui.ledger.GRACE_SECONDS", 0.0)

    done = []

    def ask() -> None:
        with reading() as session:
            for number in range(1_000):
                with session.transaction() as cursor:
                    cursor.execute("SELECT pg_sleep(0.1)")
                done.append(number)

    with pytest.raises(TooLong):
        ask()
    assert 0 < len(done) < 10


def test_a_lock_that_somebody_holds_is_a_sentence(server: Server, page_night: Night, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("webflow_conversions.ui.ledger.LOCK_SECONDS", 0.2)

    with locked(page_night, "conversions"):
        answer = server.get("/webflow/api/conversions?state=held")

    assert answer.status_code == 503
    assert "tables are locked" in answer.json()["detail"]


def test_airflows_own_threads_are_left_to_airflow(server: Server, page_night: Night):
    with locked(page_night, "conversions"), many(server, "/webflow/api/conversions?state=held"):
        names = [thread.name for thread in threading.enumerate()]

    assert len([name for name in names if name.startswith("webflow-page")]) == THREADS


def test_the_page_is_imported_once_and_outside_of_airflows_event_loop(monkeypatch: pytest.MonkeyPatch):
    plugin = runpy.run_module("webflow_conversions.plugin")
    made_by: list[int] = []
    asked: list[Any] = []

    async def application(*request: Any) -> None:
        asked.append(request)

    def create_app() -> Any:
        made_by.append(threading.get_ident())
        time.sleep(0.1)
        return application

    async def ask() -> None:
        await asyncio.gather(*[plugin["page"](number, None, None) for number in range(5)])
        await plugin["page"](5, None, None)

    monkeypatch.setattr("webflow_conversions.ui.app.create_app", create_app)
    asyncio.run(ask())

    assert len(made_by) == 1
    assert made_by != [threading.get_ident()]
    assert sorted(number for number, _, _ in asked) == list(range(6))
