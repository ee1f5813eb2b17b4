"""The page's sessions on the ledger: each ends after some seconds, whatever the ledger does."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import Timer
from time import monotonic

from psycopg2.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    LockNotAvailable,
    QueryCanceled,
    UndefinedColumn,
    UndefinedTable,
)
from psycopg2.extensions import connection as Connection

from webflow_conversions.errors import Unavailable, first_line
from webflow_conversions.ledger.session import Session

READ_SECONDS = 10.0
ACT_SECONDS = 60.0
"""Of a session and of each of its statements."""
LOCK_SECONDS = 3.0
"""Longest wait for a lock."""
CONNECT_SECONDS = 5
"""Longest wait for each of the connection's hosts."""
GRACE_SECONDS = 1.0
"""Time for the server to say by itself that a statement took too long."""


class NoLedger(Unavailable):
    """The ledger has no tables yet, or those of another release."""


class TooLong(Unavailable):
    """The ledger answers, and takes longer for this than there is time."""

    def __init__(self) -> None:
        super().__init__("The ledger takes too long for this: narrow a list down by state, reason or source, or try again later.")


@contextmanager
def reading() -> Iterator[Session]:
    """A session whose transactions only read, each from a single snapshot.

    :raises Unusable: if there is no connection ``webflow_ledger``.
    :raises TooLong: after ``READ_SECONDS``.
    :raises Unavailable: if the ledger is away.
    """
    with _session(READ_SECONDS, is_reading=True) as session:
        yield session


@contextmanager
def acting() -> Iterator[Session]:
    """A session for what people do.

    :raises Unusable: if there is no connection ``webflow_ledger``.
    :raises TooLong: after ``ACT_SECONDS``.
    :raises Unavailable: if the ledger is away.
    """
    with _session(ACT_SECONDS) as session:
        yield session


@contextmanager
def _session(seconds: float, *, is_reading: bool = False) -> Iterator[Session]:
    from webflow_conversions.hooks.connections import ledger_connect

    connect = ledger_connect(connect_timeout=CONNECT_SECONDS)
    ends_at = monotonic() + seconds
    with ExitStack() as lines:

        def bounded() -> Connection:
            if monotonic() >= ends_at:
                raise TooLong
            connection = connect()
            lines.enter_context(_hung_up(connection, ends_at + GRACE_SECONDS))
            return connection

        session = Session(bounded, lock_seconds=LOCK_SECONDS, statement_seconds=seconds, is_reading=is_reading)
        try:
            yield session
        except (InvalidSchemaName, UndefinedTable, UndefinedColumn) as error:
            raise NoLedger("The ledger has no tables of this release yet: the plan task of the next run makes them.") from error
        except InsufficientPrivilege as error:
            raise Unavailable(
                f"The role of connection webflow_ledger may not do this ({first_line(error)}): see the ledger's roles."
            ) from error
        except Unavailable as error:
            if isinstance(error.__cause__, QueryCanceled) or monotonic() >= ends_at:
                raise TooLong from error
            if isinstance(error.__cause__, LockNotAvailable):
                raise Unavailable("The ledger's tables are locked by a migration or a person: try again later.") from error
            raise
        finally:
            session.close()


@contextmanager
def _hung_up(connection: Connection, at: float) -> Iterator[None]:
    """End whatever waits for the server at a moment of ``monotonic()``.

    The server's own time-outs help only while it is there: not against one that was stopped, or a proxy that says nothing.
    """

    def hang_up() -> None:
        with suppress(OSError):
            line.shutdown(SHUT_RDWR)

    with socket(fileno=os.dup(connection.fileno())) as line:
        timer = Timer(max(at - monotonic(), 0), hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # the line must not be closed, and its number given to another, while it is being shut down
