"""Opens connections, and tells a database that is away from one that lets nobody in before a person corrects the connection."""

import re
from typing import Any

import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from webflow_conversions.errors import NotLetIn, Unavailable, first_line
from webflow_conversions.warehouse.refusals import mysql_code, sqlstate

_STATES = ("28", "3D000", "42501", "08004")
_MYSQL_CODES = frozenset({1044, 1045, 1049, 1130, 1251, 1698, 2059, 3118, 3159, 4151})
"""Access denied, no such database, host not allowed, no such plugin, TLS required, locked accounts (server error references)."""

_CAUSES: tuple[tuple[str, str], ...] = (
    (r"access denied .* to database|permission denied for database", "what its login may read, or its schema"),
    (r"password authentication failed|no password supplied|access denied|authentication failed", "its login and password"),
    (r"role \S+ does not exist|role \S+ is not permitted to log in", "its login"),
    (r"database \S+ does not exist|unknown database", "its schema, which names the database"),
    (r"no pg_hba\.conf entry|is not allowed to connect|rejects connection", "its login and sslmode, or whom the server lets in"),
    (r"name or service not known|no address associated|nodename nor servname|host not known", "its host"),
    (
        r"certificate|does not support ssl|doesn't support (?:ssl|it)|ssl (?:was|is) required|insecure transport|sslmode",
        "its TLS: sslmode, sslrootcert, and the server's certificate",
    ),
    (r"invalid port", "its host and port"),
    (r"invalid integer value \S+ for connection option", "its port, or the number in its extras"),
    (r"definition of service \S+ not found|invalid command-line argument|unrecognized configuration parameter", "its extras"),
    (r"invalid dsn|invalid connection option|invalid \S+ value|unexpected keyword", "its extras"),
)  # fmt: skip
"""What libpq and other drivers say of a mistake in a connection, and what of the connection to correct.

psycopg2 has no SQLSTATE of a connection that was not made. A host that nobody knows is a mistake: of a DNS server that is away
the system's resolver says "Temporary failure in name resolution".
"""

_QUOTED = re.compile(r"""(?<=[\s(])(["'])[^"']*\1""")


def what_to_correct(error: BaseException) -> str | None:
    """What of a connection has to be corrected, since trying again does not help; None if it may help."""
    text = _QUOTED.sub("…", str(error)).lower()
    named = next((part for words, part in _CAUSES if re.search(words, text)), None)
    if named or sqlstate(error).startswith(_STATES) or mysql_code(error) in _MYSQL_CODES or isinstance(error, TypeError):
        return named or "it"
    return None


def not_let_in(error: BaseException, database: str, name: str) -> NotLetIn | None:
    """The error of a connection that has to be corrected; None if trying again may help.

    :param database: what the connection leads to, in one word for people.
    :param name: the ID of Airflow's connection.
    """
    wrong = what_to_correct(error)
    if wrong is None:
        return None
    return NotLetIn(
        f"The {database} (connection {name}) does not let us in: {first_line(error)}. Correct connection {name}: {wrong}."
    )


def connect(engine: Engine, name: str) -> Connection:
    """A connection of the engine; one of psycopg2 gives text as UTF-8.

    :param name: the ID of Airflow's connection.
    :raises NotLetIn: if that has to be corrected.
    :raises Unavailable: if the database does not answer.
    """
    try:
        connection = engine.connect()
        if engine.dialect.driver == "psycopg2":
            postgres: Any = connection.connection.driver_connection
            postgres.set_client_encoding("UTF8")
        return connection
    except (sa.exc.DBAPIError, psycopg2.Error, TypeError) as error:
        driver_s = getattr(error, "orig", None) or error
        away = Unavailable(f"The warehouse (connection {name}) does not answer: {first_line(driver_s)}.")
        raise not_let_in(driver_s, "warehouse", name) or away from error
