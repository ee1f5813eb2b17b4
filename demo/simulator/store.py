"""The received events, in a SQLite file.

A commit survives the end of the process, ``kill -9`` included, but not a loss of power: nothing is synchronised to the
disk.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, NamedTuple

REPEATED_SHOWN = 100
"""Action IDs stored more than once that a summary names, at most."""

_EXACT = Context(prec=400)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    received_at_ms INTEGER NOT NULL,
    event_name TEXT NOT NULL,
    action_id TEXT NOT NULL,
    action_timestamp_ms INTEGER NOT NULL,
    value TEXT,
    body BLOB NOT NULL,
    answer_status INTEGER,
    fault TEXT,
    ignored_because TEXT
)
"""

_ADD = """
INSERT INTO events (
    received_at_ms, event_name, action_id, action_timestamp_ms, value, body, answer_status, fault, ignored_because
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_EVENTS = """
SELECT id, received_at_ms, event_name, action_id, action_timestamp_ms, value, body, answer_status, fault, ignored_because
FROM events
WHERE :action_id IS NULL OR action_id = :action_id
ORDER BY id
LIMIT :limit OFFSET :offset
"""

_RECEIVED = """
SELECT id, event_name, action_id, action_timestamp_ms, value, received_at_ms, body
FROM events
WHERE ignored_because IS NULL AND received_at_ms < ?
ORDER BY id
"""

_ACTION_IDS = "SELECT action_id, COUNT(*) FROM events GROUP BY action_id"
_BY_EVENT_NAME = "SELECT event_name, COUNT(*), decimal_sum(value) FROM events GROUP BY event_name"
_IGNORED = "SELECT ignored_because, COUNT(*) FROM events WHERE ignored_because IS NOT NULL GROUP BY ignored_because"
_DISTINCT = "SELECT COUNT(DISTINCT action_id) FROM events"
_REPEATED = "SELECT action_id FROM events GROUP BY action_id HAVING COUNT(*) > 1"


class StoredEvent(NamedTuple):
    """A row to be stored: an event, its answer, the fault that it met, and the reason why Webflow may ignore it.

    ``answer_status`` is the status of its answer, None for no complete answer.
    """

    received_at_ms: int
    event_name: str
    action_id: str
    action_timestamp_ms: int
    value: str | None
    body: bytes
    answer_status: int | None
    fault: str | None
    ignored_because: str | None


class EventStore:
    """The only writer of a database file; creates a missing file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(_SCHEMA)

    def add(self, events: Sequence[StoredEvent]) -> None:
        """Store all events or none, a row for each, and commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(_ADD, events)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def clear(self) -> None:
        """Delete all events."""
        self._connection.execute("DELETE FROM events")

    def close(self) -> None:
        self._connection.close()


class EventReader:
    """Reads committed events. Each call has a connection of its own, so any thread may call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self, *, limit: int, offset: int, action_id: str | None) -> list[dict[str, Any]]:
        """Rows in the order of arrival; ``counts`` is false for events that Webflow may ignore."""
        with closing(self._connect()) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(_EVENTS, {"limit": limit, "offset": offset, "action_id": action_id})
            return [{**row, "body": row["body"].decode(), "counts": row["ignored_because"] is None} for row in rows]

    def received(self, *, before_ms: int) -> list[tuple[int, str, str, int, str | None, int, bytes]]:
        """ID, event name, action ID, timestamp, value, moment of receipt and body of the events that an import takes."""
        with closing(self._connect()) as connection:
            return connection.execute(_RECEIVED, (before_ms,)).fetchall()

    def action_ids(self, chunk: int) -> Generator[list[tuple[str, int]], None, None]:
        """Each action ID and the number of times it was stored, in chunks."""
        with closing(self._connect()) as connection:
            cursor = connection.execute(_ACTION_IDS)
            while rows := cursor.fetchmany(chunk):
                yield rows

    def summary(self) -> dict[str, Any]:
        """Counts of all events at one moment; the sum of the values is exact."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            names = connection.execute(_BY_EVENT_NAME).fetchall()
            ignored = dict(connection.execute(_IGNORED).fetchall())
            distinct = connection.execute(_DISTINCT).fetchone()[0]
            repeated = [action_id for (action_id,) in connection.execute(_REPEATED)]
        total = DecimalSum()
        for _, _, value_sum in names:
            total.step(value_sum)
        events = sum(count for _, count, _ in names)
        return {
            "events": events,
            "action_ids": distinct,
            "repeated_action_ids": {"count": len(repeated), "first": repeated[:REPEATED_SHOWN]},
            "value_sum": total.finalize(),
            "by_event_name": {name: {"events": count, "value_sum": value_sum} for name, count, value_sum in names},
            "counting": events - sum(ignored.values()),
            "ignored": ignored,
        }

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.create_aggregate("decimal_sum", 1, DecimalSum)  # type: ignore[arg-type]
        return connection


class DecimalSum:
    """An SQLite aggregate: the exact sum of decimal numbers in text; ``0`` without rows."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, value: str | None) -> None:
        if value is not None:
            self._sum = _EXACT.add(self._sum, Decimal(value))

    def finalize(self) -> str:
        return f"{self._sum:f}"
