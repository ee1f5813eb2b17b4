"""The site, its goals and the results of the imports, in a SQLite file of their own beside that of the events."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from demo.simulator.nightly_import import Credit
from demo.simulator.site import Kind, Report

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
    visitor TEXT NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS imported (event_id INTEGER PRIMARY KEY, import_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS credits (
    action_id TEXT NOT NULL, goal_id TEXT NOT NULL, visitor TEXT NOT NULL, session_id TEXT NOT NULL,
    optimization TEXT NOT NULL, variation TEXT NOT NULL, at_ms INTEGER NOT NULL, value TEXT, import_ms INTEGER NOT NULL
);
"""


class SiteStore:
    """The file; each call is one transaction, and has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    def add_reports(self, reports: Iterable[Report]) -> None:
        """Store reports."""
        with closing(self._connect()) as connection, connection:
            connection.executemany("INSERT INTO reports VALUES (?, ?, ?, ?, ?)", reports)

    def reports(self) -> list[Report]:
        """All reports, in the order in which they were added."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT visitor, at_ms, kind, subject, detail FROM reports ORDER BY rowid")
            return [Report(visitor, at_ms, Kind(kind), *rest) for visitor, at_ms, kind, *rest in rows]

    def document(self, name: str) -> str | None:
        """The JSON stored under a name; None if there is none."""
        with closing(self._connect()) as connection:
            row = connection.execute("SELECT content FROM documents WHERE name = ?", (name,)).fetchone()
            return None if row is None else str(row[0])

    def set_document(self, name: str, content: str) -> None:
        """Store JSON under a name."""
        with closing(self._connect()) as connection, connection:
            connection.execute("REPLACE INTO documents VALUES (?, ?)", (name, content))

    def imported(self) -> set[int]:
        """The events that an import has been through."""
        with closing(self._connect()) as connection:
            return {event_id for (event_id,) in connection.execute("SELECT event_id FROM imported")}

    def add_import(self, events: Iterable[int], imported: Iterable[Credit], import_ms: int) -> None:
        """Store what an import did: the events that it went through, and those that it credited."""
        with closing(self._connect()) as connection, connection:
            connection.executemany("INSERT INTO imported VALUES (?, ?)", ((event_id, import_ms) for event_id in events))
            connection.executemany(
                "INSERT INTO credits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", ((*credit, import_ms) for credit in imported)
            )

    def credits(self) -> list[Credit]:
        """What all imports credited, in the order of the imports."""
        with closing(self._connect()) as connection:
            return [Credit(*row[:-1]) for row in connection.execute("SELECT * FROM credits ORDER BY rowid")]

    def forget_imports(self) -> None:
        """Delete the results of all imports."""
        self._delete("imported", "credits")

    def clear(self) -> None:
        """Delete everything."""
        self._delete("reports", "documents", "imported", "credits")

    def _delete(self, *tables: str) -> None:
        with closing(self._connect()) as connection, connection:
            for table in tables:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are ours

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection
