"""A connection to the ledger that comes back after the server was away."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import NamedTupleCursor

from webflow_conversions.errors import Unavailable, database_words

Connect = Callable[[], Connection]

_SETTINGS = """
SET LOCAL TIME ZONE 'UTC';
SET LOCAL synchronous_commit = on;
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_mergejoin = off
"""
"""Of every transaction, and of nothing after it: a pooler hands the server's session on to others (pgbouncer, transaction mode).

Commits survive a crash of the server: a claim that it forgets would let an event out twice without a word.
Every statement reaches its rows by an index. Left alone, the planner turns from some thousand rows on to a
hash or merge join over the whole table, and the cost of a row would grow with the history."""


_FAULTS_OF_A_STATEMENT = (
    psycopg2.ProgrammingError,
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.NotSupportedError,
    psycopg2.errors.RaiseException,
)
"""Errors of the statement, and of a trigger of somebody's own.

All other errors are the server's: it is away, shuts down, or became a read-only standby."""


_PART = re.compile(r"\{(\w+)\}")


@cache
def statement(name: str, **parts: str) -> str:
    """The SQL of ``ledger/sql/<name>.sql``; each ``{part}`` in it is ``ledger/sql/parts/<part>.sql``, in parentheses.

    :param name: the folder is the module that uses the statement: ``push/claim``.
    :param parts: the part to take for a name that is none of its own.
    """
    text = files("webflow_conversions.ledger").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return _PART.sub(lambda found: f"(\n{statement(f'parts/{parts.get(found[1], found[1])}')})", text)


class Session:
    """One connection, opened when it is first needed and again after it broke.

    Not for use by two threads at a time. What it needs of the server's session it sets in each transaction.

    :param lock_seconds: how long a statement may wait for a lock before the ledger counts as away; None for any time.
    :param statement_seconds: how long a statement, and the client between two of them, may take; None for any time.
    :param is_reading: whether transactions only read, each from a single snapshot.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        lock_seconds: float | None = None,
        statement_seconds: float | None = None,
        is_reading: bool = False,
    ) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if is_reading else "BEGIN"
        limits = {
            "lock_timeout": lock_seconds,
            "statement_timeout": statement_seconds,
            "idle_in_transaction_session_timeout": statement_seconds,
        }
        bounds = [f"SET LOCAL {name} = {int(seconds * 1000)}" for name, seconds in limits.items() if seconds is not None]
        self._begin_with = ";\n".join([begin, _SETTINGS.strip(), *bounds])

    def waiting(self, lock_seconds: float) -> "Session":
        """Another session on the same ledger, which waits ``lock_seconds`` for a lock."""
        return Session(self._connect, lock_seconds=lock_seconds)

    @contextmanager
    def transaction(self, *, is_kept: bool = True) -> Iterator[Cursor]:
        """A cursor in a transaction: committed at the end, rolled back on an error.

        :param is_kept: False to roll back in any case.
        :raises Unavailable: if the server cannot be reached or goes away; what was done is not committed, or it
            is not known whether it was if the connection broke in the commit.
        """
        try:
            with self._begin() as cursor:
                try:
                    yield cursor
                except BaseException:
                    with suppress(psycopg2.Error):
                        cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT" if is_kept else "ROLLBACK")
        except _FAULTS_OF_A_STATEMENT:
            raise
        except psycopg2.Error as error:
            self.close()
            raise Unavailable(f"The ledger's database does not answer: {database_words(error)}.") from error

    def fetch(self, name: str, parameters: Mapping[str, Any], **parts: str) -> list[Any]:
        """The rows of one statement in a transaction of its own; none for a statement that returns none."""
        with self.transaction() as cursor:
            cursor.execute(statement(name, **parts), parameters)
            return cursor.fetchall() if cursor.description else []

    def execute(self, name: str, parameters: Mapping[str, Any]) -> int:
        """Run one statement in a transaction of its own; the number of rows that it touched."""
        with self.transaction() as cursor:
            cursor.execute(statement(name), parameters)
            return int(cursor.rowcount)

    def close(self) -> None:
        """Give the connection back; the next use opens another."""
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _begin(self) -> Cursor:
        """A cursor in a new transaction. A connection that died since its last use is replaced: nothing was done on it yet."""
        if self._connection is not None:
            try:
                return self._begin_on(self._connection)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.close()
        self._connection = self._connect()
        self._connection.autocommit = True  # BEGIN, the settings and COMMIT are sent from here
        return self._begin_on(self._connection)

    def _begin_on(self, connection: Connection) -> Cursor:
        cursor: Cursor = connection.cursor(cursor_factory=NamedTupleCursor)
        cursor.execute(self._begin_with)
        return cursor
