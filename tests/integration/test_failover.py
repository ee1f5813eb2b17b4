"""Two PostgreSQL servers, the second a standby of the first: a connection that names both follows a fail-over."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.postgres import USER, PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import Night
from webflow_conversions.errors import NotLetIn, Unavailable
from webflow_conversions.hooks.connections import ledger_connect, ledger_session, warehouse
from webflow_conversions.rules.states import State

DATABASE = "shop"
IN_RECOVERY = "SELECT pg_is_in_recovery() AS standby"


class Standby(PostgresServer):
    """A copy that follows a server until it is promoted; the server commits nothing that the standby does not have."""

    def __init__(self, folder: Path, primary: PostgresServer) -> None:
        super().__init__(folder)
        self._primary = primary

    def _make_data(self) -> None:
        place = ("--host=127.0.0.1", f"--port={self._primary.port}", f"--username={USER}")
        self._run("pg_basebackup", *place, "--pgdata", self._data, "--write-recovery-conf", "--checkpoint=fast")
        with closing(self._primary.connect("postgres")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            cursor.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make it a server that can be written to."""
        with closing(self.connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_promote()")


class Pair:
    """Both servers, and connections that name the standby first."""

    def __init__(self, primary: PostgresServer, standby: Standby, environment: pytest.MonkeyPatch) -> None:
        self.primary, self.standby = primary, standby
        for name, wants in (("WEBFLOW_LEDGER", "read-write"), ("WAREHOUSE", "prefer-standby")):
            fields = {"conn_type": "postgres", "host": "127.0.0.1,127.0.0.1", "login": USER, "schema": DATABASE}
            extra = {"port": f"{standby.port},{primary.port}", "target_session_attrs": wants, "connect_timeout": 3}
            environment.setenv(f"AIRFLOW_CONN_{name}", json.dumps({**fields, "extra": extra}))
        self._is_down = False

    def fail(self) -> None:
        """The first server is gone, without a word."""
        self.primary.stop("immediate")
        self._is_down = True

    def restore(self) -> None:
        """Start what failed, so that it can be ended like the other."""
        if self._is_down:
            self.primary.start()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with PostgresServer(tmp_path / "first") as primary:
        primary.create_database(DATABASE)
        with Standby(tmp_path / "second", primary) as standby:
            made = Pair(primary, standby, monkeypatch)
            yield made
            made.restore()


def is_standby(name: str) -> list[bool]:
    """Whether the server that a warehouse's connection reaches is the standby, as a column of one row."""
    found: list[bool] = []
    warehouse(name).read(IN_RECOVERY, {}, ["standby"], lambda chunk: found.extend(chunk["standby"]))
    return found


def test_a_warehouse_may_be_read_from_a_standby_and_after_it_from_the_other(pair: Pair) -> None:
    assert is_standby("warehouse") == [True]
    pair.standby.promote()
    assert is_standby("warehouse") == [False]


def test_a_ledger_without_a_server_that_can_be_written_to_is_away(pair: Pair) -> None:
    session = ledger_session()
    assert session.fetch("deployment/server", {})
    pair.fail()
    with pytest.raises((Unavailable, NotLetIn), match="read-only"):
        session.fetch("deployment/server", {})
    pair.standby.promote()
    assert session.fetch("deployment/server", {})


def test_a_push_during_a_fail_over_sends_everything_and_forgets_nothing(pair: Pair, simulator: SimulatorProcess) -> None:
    night = Night(ledger_connect())
    run = night.ready(600)
    simulator.faults([{"action": "delay", "milliseconds": 50}])
    ended = threading.Event()

    def fail_over() -> None:
        while len(simulator.action_ids()) < 100 and not ended.wait(0.01):
            pass
        pair.fail()
        pair.standby.promote()

    failing = threading.Thread(target=fail_over)
    failing.start()
    counts = night.push(run, simulator.url)
    ended.set()
    failing.join()
    assert counts.complete
    assert set(simulator.action_ids().values()) == {1}
    assert night.sql("SELECT state, count(*)::int FROM webflow.conversions GROUP BY state") == [(State.ACCEPTED, 600)]
    assert night.sql(IN_RECOVERY) == [(False,)]
