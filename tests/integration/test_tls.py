"""Connections to PostgreSQL over TLS: the ledger and the warehouse, with the server's certificate verified in full."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from demo.postgres import PostgresServer
from webflow_conversions.errors import NotLetIn, Unavailable
from webflow_conversions.hooks.connections import ledger_session, warehouse
from webflow_conversions.ledger.migrations import migrate

SSL_OF_MINE = "SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl"


def installed() -> list[Path]:
    """Where Debian, Red Hat and Homebrew put PostgreSQL's programs."""
    places = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin", "usr/local/opt/postgresql*/bin")
    return sorted(path for place in places for path in Path("/").glob(place) if (path / "initdb").exists())


pytestmark = pytest.mark.skipif(
    not installed() and os.environ.get("CI") != "true", reason="the system has no PostgreSQL server: apt install postgresql"
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[PostgresServer]:
    """A server of the system's own that takes no connection in clear, with a certificate for ``localhost``: the wheel's has no TLS."""
    with PostgresServer(tmp_path_factory.mktemp("tls"), programs=installed()[-1]) as made:
        with closing(made.connect("postgres")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("SHOW data_directory")
            data = Path(cursor.fetchone()[0])
            certificate = authority.issue_cert("localhost")
            certificate.private_key_pem.write_to_path(str(data / "server.key"))
            certificate.cert_chain_pems[0].write_to_path(str(data / "server.crt"))
            (data / "server.key").chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(data / "server.key", "nobody")
                shutil.chown(data / "server.crt", "nobody")
            cursor.execute("CREATE DATABASE tls")
            cursor.execute("ALTER SYSTEM SET ssl = on")
            (data / "pg_hba.conf").write_text(
                "hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n", encoding="utf-8"
            )
            cursor.execute("SELECT pg_reload_conf()")
        yield made


@pytest.fixture
def connection(server: PostgresServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets both connections."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def set_to(**changes: str) -> None:
        extra = {"sslmode": "verify-full", "sslrootcert": str(tmp_path / "ca.pem")} | changes
        host = extra.pop("host", "localhost")
        given = {"conn_type": "postgres", "host": host, "port": server.port, "login": "postgres", "schema": "tls", "extra": extra}
        for name in ("WEBFLOW_LEDGER", "WAREHOUSE"):
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(given))

    return set_to


def test_ledger_and_warehouse_are_reached_over_tls_alone(connection: Any) -> None:
    connection()
    session = ledger_session()
    migrate(session)
    with session.transaction() as cursor:
        cursor.execute(SSL_OF_MINE)
        assert cursor.fetchone().version.startswith("TLS")
    session.close()
    seen: list[str] = []
    warehouse("warehouse").read(SSL_OF_MINE, {}, ["version"], lambda chunk: seen.extend(chunk["version"]))
    assert seen[0].startswith("TLS")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"host": "127.0.0.1"}, "does not match host name"),
        ({"sslrootcert": "other"}, "certificate verify failed"),
        ({"sslmode": "disable"}, "no encryption"),
    ],
)
def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    connection: Any, tmp_path: Path, changes: dict[str, str], why: str
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    connection(**{name: str(tmp_path / "other.pem") if value == "other" else value for name, value in changes.items()})
    with pytest.raises(Unavailable, match=why):
        migrate(ledger_session())
    with pytest.raises(NotLetIn, match=rf"{why}.* Correct connection warehouse: its .*sslmode"):
        warehouse("warehouse").columns("SELECT 1 AS one", {})
