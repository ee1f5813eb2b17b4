"""What a session is told before it is asked anything: that its zone is UTC, and what becomes of bytes that are no text."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

IN_UTC: Mapping[str, str] = {
    # Tried with every release:
    "postgresql": "SET TIME ZONE 'UTC'",
    "duckdb": "SET TimeZone = 'UTC'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
    # From the databases' manuals, not tried:
    "cockroachdb": "SET TIME ZONE 'UTC'",
    "databricks": "SET TIME ZONE 'UTC'",
    "exasol": "ALTER SESSION SET TIME_ZONE = 'UTC'",
    "oracle": "ALTER SESSION SET TIME_ZONE = 'UTC'",
    "redshift": "SET timezone TO 'UTC'",
    "snowflake": "ALTER SESSION SET TIMEZONE = 'UTC'",
    "vertica": "SET TIME ZONE TO 'UTC'",
}
"""The statement that sets a session's zone, by SQLAlchemy's name of the database. Without it, a type like MySQL's TIMESTAMP is
read in the server's zone. SQLite, BigQuery and SQL Server have no zone of a session; Trino's moments carry their own."""

_UNDONE_BY_ROLLBACK = frozenset({"postgresql", "cockroachdb", "redshift", "vertica"})


def prepare_sessions(engine: Engine) -> None:
    """Let every new connection of the engine be prepared."""
    sa.event.listen(engine, "connect", lambda connection, _: prepare(connection, engine.dialect.name))


def prepare(connection: Any, dialect: str) -> None:
    """Set the session of a new connection to UTC, and let SQLite's text be read without loss."""
    if dialect == "sqlite":
        connection.text_factory = lossless_text
    if dialect in IN_UTC:
        cursor = connection.cursor()
        cursor.execute(IN_UTC[dialect])
        cursor.close()
        if dialect in _UNDONE_BY_ROLLBACK:
            connection.commit()


def lossless_text(given: bytes) -> str:
    """Bytes as text; one that is no UTF-8 becomes half of a surrogate pair, for which its row is rejected."""
    return given.decode("utf-8", "surrogateescape")
