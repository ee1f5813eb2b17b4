"""Airflow's connections, as the product uses them: the ledger's sessions and any warehouse."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg2
import sqlalchemy as sa
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from psycopg2.extensions import connection as PostgresConnection

from webflow_conversions.errors import Unusable
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


def connection_named(name: str) -> Connection:
    """The connection of this ID.

    :raises Unusable: if there is none.
    """
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException as error:
        raise Unusable(
            f"There is no connection {name}: create it under Admin > Connections, or as AIRFLOW_CONN_{name.upper()}."
        ) from error


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


def ledger_connect(name: str = LEDGER) -> Connect:
    """A function that opens connections to the ledger.

    :raises Unusable: if there is no such connection, or it is not PostgreSQL's.
    """
    connection = connection_named(name)
    if connection.conn_type not in ("postgres", "postgresql"):
        raise Unusable(f"Connection {name} is of type {connection.conn_type}: the ledger needs PostgreSQL (type postgres).")
    return _opener(name)


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

    connection = connection_named(name)
    try:
        hook = connection.get_hook()
    except Exception as error:
        raise Unusable(
            f"Connection {name} of type {connection.conn_type} has no hook here: install its provider ({error})."
        ) from error
    if not isinstance(hook, DbApiHook):
        raise Unusable(f"Connection {name} is of type {connection.conn_type}: a warehouse needs a type that speaks SQL.")
    return Warehouse(_engine(hook, connection, name), name)


def _engine(hook: DbApiHook, connection: Connection, name: str) -> sa.Engine:
    """An engine that keeps to all that the connection says: above all, whether a file is opened for reading alone."""
    # SQLAlchemy's errors end up in the task's log, and a query's parameters are identity keys.
    arguments: dict[str, Any] = {"poolclass": sa.NullPool, "hide_parameters": True}
    if isinstance(hook, PostgresHook):
        return sa.create_engine("postgresql+psycopg2://", creator=_opener(name), **arguments)
    if connection.conn_type == "sqlite":
        return sa.create_engine("sqlite://", creator=hook.get_conn, **arguments)
    if connection.conn_type == "duckdb":
        duckdb: Any = hook
        arguments["connect_args"] = {"read_only": duckdb.read_only, "config": duckdb.get_connect_config()}
    return hook.get_sqlalchemy_engine(arguments)


def _opener(name: str) -> Callable[[], PostgresConnection]:
    """A function that opens psycopg2 connections, with all parameters of Airflow's connection.

    Airflow is asked once, so that a session can reconnect while Airflow's API server is away. The provider's own
    ``get_conn()`` is psycopg 3 wherever that is installed.
    """
    hook = PostgresHook(postgres_conn_id=name, sqlalchemy_scheme="postgresql+psycopg2")
    url = hook.sqlalchemy_url
    extra = {key: value for key, value in hook.connection.extra_dejson.items() if key not in hook.ignored_extra_options}
    arguments: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "application_name": "webflow_conversions",
        **_NETWORK_GONE,
    }
    return partial(psycopg2.connect, **arguments | extra)
