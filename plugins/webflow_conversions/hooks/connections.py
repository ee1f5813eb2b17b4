"""Airflow's connections, as the product uses them: the ledger's sessions and any warehouse."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg2
import sqlalchemy as sa
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowOptionalProviderFeatureException
from psycopg2.extensions import connection as PostgresConnection
from psycopg2.extensions import make_dsn

from webflow_conversions.errors import Unusable, first_line, without_data
from webflow_conversions.ledger.session import Connect, Session

if TYPE_CHECKING:
    from webflow_conversions.warehouse.reader import Warehouse

LEDGER = "webflow_ledger"

_CONNECT_TIMEOUT_SECONDS = 10
_NETWORK_GONE: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""libpq's parameters that end a connection to an unreachable server after about 25 seconds (the last one: milliseconds)."""


_OUT_OF_REACH = re.compile(
    "refused|time-?out|timed out|translate|unreachable|no route|database system is|closed the connection", re.IGNORECASE
)
"""Words of libpq for a server that did not get as far as asking who it is."""


_FIELDS = ("conn_type", "host", "port", "login", "password", "schema", "extra", "description", "conn_id")
"""What a connection that is written as JSON may have."""


def connection_named(name: str) -> Connection:
    """The connection of this ID.

    :raises Unusable: if there is none, or it cannot be read.
    """
    variable = f"AIRFLOW_CONN_{name.upper()}"
    try:
        connection = BaseHook.get_connection(name)
    except AirflowNotFoundException as error:
        if text := os.environ.get(variable):
            raise Unusable(f"{variable} is set, and is no connection: {_why_unreadable(text)}.") from None
        raise Unusable(f"There is no connection {name}: create it under Admin > Connections, or as {variable}.") from error
    if "#" in os.environ.get(variable, "").partition("{")[0]:
        raise Unusable(f"{variable} holds a #, which ends an address: write it as %23, or the connection as JSON.")
    try:
        is_well = isinstance(json.loads(connection.extra or "{}"), dict)
    except ValueError:
        is_well = False
    if not is_well:
        raise Unusable(f'The extra of connection {name} is no JSON object: write it like {{"sslmode": "require"}}.')
    return connection


def _why_unreadable(text: str) -> str:
    """What is wrong with the value of an ``AIRFLOW_CONN_…``, without the secrets in it."""
    if not text.startswith("{"):
        return "in its address, write #, /, ?, :, @ and % of a user or password as %23, %2F, %3F, %3A, %40 and %25, or use JSON"
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        return f"its JSON breaks at character {error.pos + 1} ({error.msg})"
    unknown = [field for field in fields if field not in _FIELDS]
    if unknown:
        return f"a connection has no field {without_data(unknown[0])}: it has {', '.join(_FIELDS)}"
    for field in ("conn_type", "host", "login", "password", "schema"):
        if not isinstance(fields.get(field, ""), str | None):
            return f"its {field} has to be text, in quotes"
    return "its port has to be a number, and its extra an object"


def is_connection(name: str) -> bool:
    """Whether there is a connection of this ID."""
    try:
        BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return False
    return True


def of_this_connection(sentence: str, name: str) -> str:
    """The sentence without the connection's name: Airflow tests a copy, whose name nobody has ever seen."""
    return sentence.replace(f"Connection {name}", "This connection").replace(f"connection {name}", "this connection")


def ledger_connect(name: str = LEDGER, **parameters: Any) -> Connect:
    """A function that opens connections to the ledger.

    :param parameters: parameters of libpq that come before those of the connection.
    :raises Unusable: if there is no such connection, or it is not PostgreSQL's.
    """
    connection = _typed_connection(name)
    if connection.conn_type not in ("postgres", "postgresql"):
        raise Unusable(f"Connection {name} is of type {connection.conn_type}: the ledger needs PostgreSQL (type postgres).")
    return partial(_open_ledger, _Opener(name, parameters), name)


def _open_ledger(open_: Connect, name: str) -> PostgresConnection:
    """A connection to the ledger.

    :raises NotLetIn: if Airflow's connection has to be corrected.
    """
    try:
        return open_()
    except psycopg2.OperationalError as error:
        from webflow_conversions.warehouse.reaching import not_let_in

        if refused := not_let_in(error, "ledger", name):
            raise refused from error
        raise


def ledger_session(name: str = LEDGER) -> Session:
    """A session on the ledger, whose connection is opened when it is first used.

    :raises Unusable: if there is no such connection, or it is not PostgreSQL's.
    """
    return Session(ledger_connect(name))


def warehouse(name: str) -> "Warehouse":
    """The warehouse of a connection of any common-sql type.

    :raises Unusable: if there is no such connection, or no SQL can be sent over it.
    """
    from webflow_conversions.warehouse.reader import Warehouse

    connection = _typed_connection(name)
    try:
        hook = connection.get_hook()
    except Exception as error:
        why = without_data(first_line(error))
        raise Unusable(
            f"Connection {name} of type {connection.conn_type} has no hook here: install its provider ({why})."
        ) from error
    if not isinstance(hook, DbApiHook):
        raise Unusable(f"Connection {name} is of type {connection.conn_type}: a warehouse needs a type that speaks SQL.")
    return Warehouse(_engine(hook, connection, name), name)


def _typed_connection(name: str) -> Connection:
    """The connection of a database.

    :raises Unusable: if there is none, it cannot be read, or its type is none of Airflow's.
    """
    connection = connection_named(name)
    plain, plus, _ = (connection.conn_type or "").partition("+")
    if not plain:
        raise Unusable(
            f"Connection {name} has no type: begin its address with one, such as postgres://, or give its JSON a conn_type."
        )
    if plus:
        raise Unusable(f"Connection {name} is of type {connection.conn_type}, and Airflow's types name no driver: write {plain}.")
    return connection


def _engine(hook: DbApiHook, connection: Connection, name: str) -> sa.Engine:
    """An engine that keeps to all that the connection says: above all, whether a file is opened for reading alone."""
    # SQLAlchemy's errors end up in the task's log, and a query's parameters are identity keys.
    arguments: dict[str, Any] = {"poolclass": sa.NullPool, "hide_parameters": True}
    if isinstance(hook, PostgresHook):
        return sa.create_engine("postgresql+psycopg2://", creator=_Opener(name), **arguments)
    if connection.conn_type == "sqlite":
        return sa.create_engine("sqlite://", creator=hook.get_conn, **arguments)
    if connection.conn_type == "duckdb":
        duckdb: Any = hook
        arguments["connect_args"] = {"read_only": duckdb.read_only, "config": duckdb.get_connect_config()}
    return hook.get_sqlalchemy_engine(arguments)


class _Opener:
    """Opens psycopg2 connections, with all parameters of Airflow's connection.

    Airflow is asked once, so that a session can reconnect while Airflow's API server is away, and again when the database lets
    nobody in: passwords are replaced, and tokens end after some minutes. The provider's own ``get_conn()`` is psycopg 3 wherever
    that is installed.

    :raises Unusable: if there is no such connection any more, or libpq does not know one of its parameters.
    """

    def __init__(self, name: str, first: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._name = name
        self._first = first
        self._parameters = {**_parameters(name), **first}

    def __call__(self) -> PostgresConnection:
        try:
            return psycopg2.connect(**self._parameters)
        except psycopg2.OperationalError as error:
            if _OUT_OF_REACH.search(str(error)):
                raise
            with suppress(Unusable, AirflowException):
                changed = {**_parameters(self._name), **self._first}
                if changed != self._parameters:
                    self._parameters = changed
                    return psycopg2.connect(**changed)
            raise


def _parameters(name: str) -> dict[str, Any]:
    """libpq's parameters of a connection."""
    hook = PostgresHook(postgres_conn_id=name, sqlalchemy_scheme="postgresql+psycopg2")
    try:
        url = hook.sqlalchemy_url
    except (AirflowOptionalProviderFeatureException, TypeError) as error:  # "iam" without its package, an unfit sqlalchemy_query
        raise Unusable(
            f"The extra of connection {name} asks for what there is not here ({without_data(first_line(error))}): correct it, "
            "or install what it needs."
        ) from error
    extra = {key: value for key, value in hook.connection.extra_dejson.items() if key not in hook.ignored_extra_options}
    parameters: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "application_name": "webflow_conversions",
        **_NETWORK_GONE,
        **extra,
        "client_encoding": "UTF8",
    }
    try:
        make_dsn(**parameters)
    except (psycopg2.ProgrammingError, TypeError) as error:
        raise Unusable(
            f"The extra of connection {name} is nothing that PostgreSQL knows ({first_line(error)}): correct it, for example to "
            '{"sslmode": "require"}.'
        ) from None
    return parameters
