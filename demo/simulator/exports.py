"""Webflow's Data Exports: the site's reports as tables of a warehouse (docs/webflow-api.md, Data Exports).

The tables are those of Webflow's public schema, in PostgreSQL or DuckDB. ``user_id`` is the user ID that the site had set
when the event happened, for an unknown visitor Webflow's own. Webflow's pages leave open whether it is ever the one that was set.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from demo.simulator.site import Kind, Report, Session, Site

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - event_time has no zone
_PAGE_HOST = "https://www.example.com"
_COMMON = "customer_id text, user_id text, session_id text"
_WHEN = "event_time timestamp, event_date text"

TABLES = {
    "optimize_variation_viewed": (
        f"{_COMMON}, variation_id text, variation_name text, optimization_id text, optimization_name text, {_WHEN}"
    ),
    "analyze_page_viewed": f"{_COMMON}, page_id text, page_url text, {_WHEN}",
    "analyze_element_clicked": f"{_COMMON}, page_id text, page_url text, element_id text, element_name text, {_WHEN}",
}
"""The columns of each table."""

_TABLE_OF = {
    Kind.VARIATION: "optimize_variation_viewed",
    Kind.PAGE: "analyze_page_viewed",
    Kind.CLICK: "analyze_element_clicked",
}
_ROWS_AT_ONCE = 1_000

Row = tuple[str | datetime, ...]


class Cursor(Protocol):
    """The part of a database's cursor that an export needs; DuckDB's connection has it, too."""

    def execute(self, statement: str, parameters: Any = None, /) -> Any: ...


def create_tables(cursor: Cursor) -> None:
    """Create the tables anew, empty."""
    for name, columns in TABLES.items():
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(f"CREATE TABLE {name} ({columns})")


def export(
    cursor: Cursor,
    site: Site,
    customer_id: str,
    from_ms: int,
    to_ms: int,
    *,
    into: Collection[str] = tuple(TABLES),
    placeholder: str = "%s",
) -> int:
    """Add the events of ``[from_ms, to_ms)`` to the tables; returns their number. Webflow does so each night with the day before.

    :param into: the tables to add to; the others stay as they are.
    :param placeholder: of a value in the database's SQL: ``%s`` or ``?``.
    """
    tables: dict[str, list[Row]] = {name: [] for name in into}
    for session, report in _events(site):
        if from_ms <= report.at_ms < to_ms and (table := _TABLE_OF[report.kind]) in tables:
            tables[table].append(_row(customer_id, session, report))
    for name, rows in tables.items():
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            _insert(cursor, name, rows[start : start + _ROWS_AT_ONCE], placeholder)
    return sum(map(len, tables.values()))


def _insert(cursor: Cursor, table: str, rows: Sequence[Row], placeholder: str) -> None:
    one = f"({', '.join([placeholder] * len(rows[0]))})"
    values = ", ".join([one] * len(rows))
    cursor.execute(f"INSERT INTO {table} VALUES {values}", [value for row in rows for value in row])  # noqa: S608 - names are ours


def _events(site: Site) -> Iterator[tuple[Session, Report]]:
    for sessions in site.sessions.values():
        for session in sessions:
            for report in session.activities:
                yield session, report


def _row(customer_id: str, session: Session, report: Report) -> Row:
    user = session.user_at(report.at_ms)
    moment = _EPOCH + timedelta(milliseconds=report.at_ms)
    match report.kind:
        case Kind.VARIATION:
            what: tuple[str, ...] = (_id(report.subject), report.subject, _id(report.detail), report.detail)
        case Kind.CLICK:
            what = (_id(report.detail), _PAGE_HOST + report.detail, _id(report.subject), report.subject)
        case _:
            what = (_id(report.subject), _PAGE_HOST + report.subject)
    known_as = session.visitor if user is None else user.id
    return (customer_id, known_as, session.id, *what, moment, moment.replace(tzinfo=UTC).strftime("%Y%m%d"))


def _id(name: str) -> str:
    return f"id-{name.strip('/') or 'home'}"
