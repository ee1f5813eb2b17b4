"""A night for each test, in a database and with a simulator that they share."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk.observability import stats
from fastapi import FastAPI
from fastapi.testclient import TestClient

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.mariadb import MariaDBServer
from tests.night import CUSTOMER_ID, TOKEN, Night
from tests.page import USERS, airflow_with_the_page, login
from tests.surroundings import Surroundings
from webflow_conversions.ledger.runs import Runs


@pytest.fixture(scope="session")
def night_database(new_database: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    """Opens connections to the database in which the nights take place, one after the other."""
    return new_database()


_DAWN = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
DO $$
BEGIN
    EXECUTE (
        SELECT format('TRUNCATE %s RESTART IDENTITY', string_agg(format('webflow.%I', tablename), ', '))
        FROM pg_tables WHERE schemaname = 'webflow' AND tablename <> 'schema_migrations'
    );
END $$
"""
"""Nothing of a night is left; the tables of the ledger stay, since making them anew costs most."""


@pytest.fixture
def night(night_database: Callable[[], Any]) -> Iterator[Night]:
    """An empty warehouse and a migrated ledger."""
    made = Night(night_database)
    yield made
    made.session.close()
    with closing(night_database()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_DAWN)


@pytest.fixture(scope="session")
def running_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator that is shared by the tests."""
    with SimulatorProcess(tmp_path_factory.mktemp("simulator") / "events.db", token=TOKEN, customer_id=CUSTOMER_ID) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A MariaDB server whose zone is not UTC, for the whole session of a process."""
    if not MariaDBServer.is_installed():
        missing = "mariadbd is not installed (on Debian and Ubuntu: apt install mariadb-server-core)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with MariaDBServer() as server:
        yield server


@pytest.fixture
def simulator(running_simulator: SimulatorProcess) -> SimulatorProcess:
    """The simulator without events and faults."""
    running_simulator.clear()
    running_simulator.faults([])
    return running_simulator


@pytest.fixture
def around(
    tmp_path: Path,
    postgres: PostgresServer,
    database: Callable[[], Any],
    simulator: SimulatorProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> Surroundings:
    """Connections, a configuration and an empty ledger for the operators in this process."""
    return Surroundings(tmp_path, postgres.port, database, simulator, monkeypatch)


@pytest.fixture(scope="module")
def airflow(postgres: PostgresServer) -> Iterator[FastAPI]:
    """Airflow's API server in this process, with its own auth manager and an empty database of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{name}:{role}" for name, role in USERS.items()))
        yield airflow_with_the_page(patch)


@pytest.fixture
def page_night(night: Night, monkeypatch: pytest.MonkeyPatch) -> Night:
    """A night of today whose ledger the page reads, and of which nobody has asked it yet."""
    from webflow_conversions.ui import search
    from webflow_conversions.ui.cache import overviews
    from webflow_conversions.ui.dag import DAG_ID

    with night.session.transaction() as cursor:
        info = cursor.connection.info
        uri = f"postgres://{info.user}@{info.host}:{info.port}/{info.dbname}"
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", uri)
    monkeypatch.setenv(
        "AIRFLOW_CONN_WEBFLOW_DEFAULT", json.dumps({"conn_type": "webflow", "login": "123456789", "password": "secret-token"})
    )
    overviews.clear()
    monkeypatch.setattr(search, "tries", search.Tries())
    night.clock.at = datetime.now(UTC)
    night.runs = Runs(night.session, DAG_ID)
    return night


@pytest.fixture
def client(airflow: FastAPI, page_night: Night) -> Callable[[str | None], TestClient]:
    """A browser in which somebody has logged in; None for nobody."""

    def made(user: str | None = None) -> TestClient:
        found = TestClient(airflow, base_url="http://airflow.test", follow_redirects=False, raise_server_exceptions=True)
        if user is not None:
            found.cookies.set("_token", login(user))
        return found

    return made


class Gauges:
    """A backend of Airflow's metrics."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], float] = {}

    def gauge(self, stat: str, value: float, *, tags: dict[str, str] | None = None) -> None:
        self.told[stat.removeprefix("webflow_conversions."), " ".join((tags or {}).values())] = value


@pytest.fixture
def gauges() -> Iterator[Gauges]:
    made = Gauges()
    stats.initialize(factory=lambda: made, export_legacy_names=False)  # type: ignore[arg-type,return-value]
    yield made
    stats.initialize(factory=NoStatsLogger, export_legacy_names=True)
