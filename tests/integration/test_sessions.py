"""The ledger's sessions: through a pooler, on connections that die, under other names, and with settings that a database has."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg2
import pytest

from demo.postgres import USER, PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import Night
from tests.pgbouncer import SESSIONS, Pooler
from tests.surroundings import Surroundings
from webflow_conversions.errors import Unavailable, Unusable
from webflow_conversions.hooks.connections import ledger_session, warehouse
from webflow_conversions.ledger.migrations import migrate
from webflow_conversions.ledger.session import Session
from webflow_conversions.rules.states import State

SETTINGS = ("statement_timeout", "lock_timeout", "enable_seqscan", "idle_in_transaction_session_timeout")


@pytest.fixture(scope="module")
def pooler(postgres: PostgresServer) -> Iterator[Pooler]:
    if not Pooler.is_installed():
        missing = "pgbouncer is not installed (on Debian and Ubuntu: apt install pgbouncer)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with Pooler(postgres) as running:
        yield running


@pytest.fixture
def pooled(pooler: Pooler, database: Callable[[], Any]) -> Callable[[], Any]:
    """Opens connections to a new database through the pooler."""
    return partial(pooler.connect, database.args[0])  # type: ignore[attr-defined]


OF_A_READER = (*SETTINGS, "TimeZone", "DateStyle", "bytea_output", "extra_float_digits", "default_transaction_read_only")
"""Those that a reader of a warehouse sets, too."""


def settings(connect: Callable[[], Any], names: Sequence[str] = SETTINGS) -> list[tuple[Any, ...]]:
    """The settings of all of the pooler's sessions on the server, as a stranger finds them."""
    found = []
    connections = [connect() for _ in range(SESSIONS)]
    try:
        for connection in connections:  # each keeps its session while its transaction lasts
            cursor = connection.cursor()
            cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
            found.append(cursor.fetchone())
    finally:
        for connection in connections:
            connection.close()
    return found


def terminate(connect: Callable[[], Any]) -> None:
    """End all other connections to the database."""
    with closing(connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# Through a pooler in transaction mode


def test_a_night_works_through_a_pooler(pooled: Callable[[], Any], simulator: SimulatorProcess) -> None:
    night = Night(pooled)
    run = night.ready(2_000)
    assert night.push(run, simulator.url).accepted == 2_000
    assert night.sql("SELECT state, count(*) FROM webflow.conversions GROUP BY state") == [(State.ACCEPTED, 2_000)]


def test_a_dry_run_works_through_a_pooler(pooled: Callable[[], Any]) -> None:
    night = Night(pooled)
    night.ready(50)
    night.sql("DELETE FROM sales WHERE conversion_id = 'c1'")
    shown = night.dry_run(night.begin("dry", dry_run=True))
    assert (shown.to_send.rows, shown.unseen.rows) == (50, 1)


def test_verdicts_are_recorded_through_a_pooler(pooled: Callable[[], Any]) -> None:
    night = Night(pooled)
    night.sql(
        "CREATE TABLE visits AS SELECT 'crm' AS user_domain, 'u1' AS user_id, at AS started_at, at AS last_active_at,"
        " at AS first_viewed_at FROM (SELECT %s::timestamptz AS at) visit",
        night.clock.at,
    )
    night.sql("CREATE TABLE loaded AS SELECT %s::timestamptz AS moment", night.clock.at)
    run = night.ready(3)
    assert night.attribute(run).will_not_count == 3


def test_what_a_session_sets_reaches_nobody_else(pooled: Callable[[], Any]) -> None:
    before = settings(pooled)
    page = Session(pooled, statement_seconds=0.5, lock_seconds=0.5, is_reading=True)
    for _ in range(2 * SESSIONS):
        with page.transaction() as cursor:
            cursor.execute("SELECT 1")
    assert settings(pooled) == before
    assert page.fetch("deployment/server", {})


def test_a_session_that_reads_cannot_write(pooled: Callable[[], Any]) -> None:
    migrate(Session(pooled))
    with pytest.raises(Unavailable, match="read-only transaction"):
        Session(pooled, is_reading=True).fetch("retention/remove_previews", {"previews_before": datetime(2026, 1, 1, tzinfo=UTC)})
    assert Session(pooled).fetch("deployment/server", {})


# The same before a warehouse


def through(pooler: Pooler, name: str) -> dict[str, Any]:
    """Fields of a connection to a database through the pooler."""
    return {"conn_type": "postgres", "host": "127.0.0.1", "port": pooler.port, "login": USER, "schema": name}


def test_a_night_reads_its_warehouse_through_a_pooler_and_leaves_its_sessions_as_they_were(
    around: Surroundings, pooler: Pooler
) -> None:
    name = around.sql("SELECT current_database()")[0][0]
    around.sql("INSERT INTO sales SELECT 'b' || n, now() - interval '2 hours', 'k' || n FROM generate_series(1, 30000) n")
    around.sql("INSERT INTO people SELECT 'k' || n, 'crm', 'u' || n, now() - interval '1 day' FROM generate_series(2, 30000) n")
    around.connect("warehouse", **through(pooler, name))
    before = settings(partial(pooler.connect, name), OF_A_READER)

    around.plan()
    assert around.extract()["read"]["rows"] == 30_001
    around.identify()

    assert around.sql("SELECT state, count(*)::int FROM webflow.conversions GROUP BY state") == [(State.READY, 30_001)]
    assert settings(partial(pooler.connect, name), OF_A_READER) == before


def test_a_warehouse_of_another_encoding_is_read_through_a_pooler(
    postgres: PostgresServer, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(postgres.connect("postgres")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("CREATE DATABASE latin_behind_a_pooler ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    monkeypatch.setenv("AIRFLOW_CONN_LATIN", json.dumps(through(pooler, "latin_behind_a_pooler")))
    connect, found = partial(pooler.connect, "latin_behind_a_pooler"), list[str]()
    before = settings(connect, OF_A_READER)
    query = "SELECT 'é' || :key || n AS name FROM generate_series(1, 3) n"
    warehouse("latin").read(query, {"key": "ü"}, ["name"], lambda chunk: found.extend(chunk["name"]))
    assert found == ["éü1", "éü2", "éü3"]
    assert settings(connect, OF_A_READER) == before


def test_a_query_of_a_warehouse_behind_a_pooler_writes_nothing(around: Surroundings, pooler: Pooler) -> None:
    name = around.sql("SELECT current_database()")[0][0]
    around.sql("CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM people RETURNING 1'")
    around.connect("warehouse", **through(pooler, name))
    with pytest.raises((Unavailable, Unusable), match="read-only transaction"):
        warehouse("warehouse").read("SELECT wipe() AS one", {}, ["one"], lambda _: None)
    assert around.sql("SELECT count(*) FROM people") == [(1,)]


# Connections that die


def test_a_connection_that_died_is_replaced_before_anything_is_done_on_it(database: Callable[[], Any]) -> None:
    session = Session(database)
    session.fetch("deployment/server", {})
    terminate(database)
    assert session.fetch("deployment/server", {})


def test_a_transaction_that_loses_its_connection_is_not_repeated(database: Callable[[], Any]) -> None:
    session, begun = Session(database), list[int]()

    def lose_it() -> None:
        with session.transaction() as cursor:
            begun.append(1)
            terminate(database)
            cursor.execute("SELECT 1")

    with pytest.raises(Unavailable):
        lose_it()
    assert begun == [1]
    assert session.fetch("deployment/server", {})


def test_a_server_that_stays_away_is_told_after_one_new_connection(database: Callable[[], Any]) -> None:
    opened: list[Any] = []

    def connect() -> Any:
        if opened:
            raise psycopg2.OperationalError("connection refused")
        opened.append(database())
        return opened[0]

    session = Session(connect)
    session.fetch("deployment/server", {})
    terminate(database)
    with pytest.raises(Unavailable, match="connection refused"):
        session.fetch("deployment/server", {})


def test_an_error_in_a_transaction_leaves_the_session_usable(database: Callable[[], Any]) -> None:
    session = Session(database)

    def stumble() -> None:
        with session.transaction() as cursor:
            cursor.execute("CREATE TABLE half (id int)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    with session.transaction() as cursor:
        cursor.execute("SELECT to_regclass('half')")
        assert cursor.fetchone() == (None,)


def test_a_server_that_ends_idle_sessions_ends_no_extraction(around: Surroundings) -> None:
    name = around.sql("SELECT current_database()")[0][0]
    around.plan()
    around.sql(f"ALTER DATABASE \"{name}\" SET idle_session_timeout = '300ms'")
    (around.folder / "sql" / "sales.sql").write_text(
        "SELECT conversion_id, occurred_at, identity_key FROM sales, pg_sleep(1) WHERE occurred_at >= :window_start"
    )
    assert around.extract()["recorded"]["rows"] == 1


# Whom the database lets in, and as what


def test_credentials_are_asked_for_again_when_the_database_refuses_them(around: Surroundings, postgres: PostgresServer) -> None:
    server = {
        "conn_type": "postgres",
        "host": "127.0.0.1",
        "port": postgres.port,
        "schema": around.sql("SELECT current_database()")[0][0],
    }
    around.sql("CREATE ROLE rotated LOGIN")
    try:
        around.connect("webflow_ledger", **server, login="rotated")
        session = ledger_session()
        session.fetch("deployment/server", {})
        around.sql("ALTER ROLE rotated NOLOGIN")
        session.close()
        around.connect("webflow_ledger", **server, login=USER)
        assert session.fetch("deployment/server", {})[0].role == USER
    finally:
        around.sql("DROP ROLE rotated")


def test_the_owner_of_the_schema_needs_no_right_on_the_database(around: Surroundings, postgres: PostgresServer) -> None:
    name = around.sql("SELECT current_database()")[0][0]
    around.sql("CREATE ROLE tenant LOGIN")
    try:
        around.sql("CREATE SCHEMA webflow AUTHORIZATION tenant")
        around.sql(f'REVOKE CREATE ON DATABASE "{name}" FROM PUBLIC')
        around.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=postgres.port, schema=name, login="tenant")
        around.plan()
        assert around.sql("SELECT count(*) FROM webflow.runs") == [(1,)]
    finally:
        around.sql("DROP OWNED BY tenant CASCADE")
        around.sql("DROP ROLE tenant")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252"])
def test_a_database_whose_clients_speak_another_encoding_keeps_every_text(around: Surroundings, encoding: str) -> None:
    name = around.sql("SELECT current_database()")[0][0]
    around.sql("UPDATE sales SET conversion_id = 'Łódź-1'")
    around.sql(f"ALTER DATABASE \"{name}\" SET client_encoding = '{encoding}'")
    around.plan()
    around.extract()
    around.sql(f'ALTER DATABASE "{name}" RESET client_encoding')
    assert around.sql("SELECT conversion_id, state FROM webflow.conversions") == [("Łódź-1", "ready")]
