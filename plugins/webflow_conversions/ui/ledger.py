"""The page's connections to the ledger: one a request, closed at its end, and never more than a few at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from psycopg2.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable

from webflow_conversions.errors import Unavailable, first_line
from webflow_conversions.ledger.session import Session

MOST_CONNECTIONS = 8
"""Of one API server process; PostgreSQL has 100 for everybody by default."""
WAIT_SECONDS = 5.0
READ_SECONDS = 10.0
ACT_SECONDS = 60.0
"""Of one statement."""


class NoLedger(Unavailable):
    """The ledger has no tables yet, or those of another release."""


_free = BoundedSemaphore(MOST_CONNECTIONS)


@contextmanager
def reading() -> Iterator[Session]:
    """A session whose transactions only read, each from a single snapshot, and do not last long.

    :raises Unusable: if there is no connection ``webflow_ledger``.
    :raises Unavailable: if the ledger is away, or too many people are asking.
    """
    with _session(READ_SECONDS, is_reading=True) as session:
        yield session


@contextmanager
def acting() -> Iterator[Session]:
    """A session for what people do.

    :raises Unusable: if there is no connection ``webflow_ledger``.
    :raises Unavailable: if the ledger is away, or too many people are asking.
    """
    with _session(ACT_SECONDS) as session:
        yield session


@contextmanager
def _session(statement_seconds: float, *, is_reading: bool = False) -> Iterator[Session]:
    from webflow_conversions.hooks.connections import ledger_connect

    session = Session(ledger_connect(), statement_seconds=statement_seconds, is_reading=is_reading)
    if not _free.acquire(timeout=WAIT_SECONDS):
        raise Unavailable("Too many people are asking the ledger at this moment: try again in some seconds.")
    try:
        yield session
    except (InvalidSchemaName, UndefinedTable, UndefinedColumn) as error:
        raise NoLedger("The ledger has no tables of this release yet: the plan task of the next run makes them.") from error
    except InsufficientPrivilege as error:
        raise Unavailable(
            f"The role of connection webflow_ledger may not do this ({first_line(error)}): see the ledger's roles."
        ) from error
    finally:
        session.close()
        _free.release()
