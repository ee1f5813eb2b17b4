"""Reads any warehouse that SQLAlchemy knows, in chunks, so that memory stays flat however many rows there are.

PostgreSQL is read by ``COPY … TO STDOUT``, which is several times faster than a cursor and hands every value over
as text, so that no value that a table can hold (``infinity``, a year before Christ) breaks the driver. Everything
else is read through a streaming cursor with the driver's own values.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pandas as pd
import psycopg2
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from webflow_conversions.errors import Unavailable, Unusable, first_line

log = logging.getLogger(__name__)

Chunk = dict[str, pd.Series]
T = TypeVar("T")

CHUNK_ROWS = 20_000
STREAM_BY_THEMSELVES = frozenset({"duckdb", "sqlite"})
"""Databases whose drivers hand rows over as they are fetched, without being asked to; tried with SQLite 3.40 and DuckDB 2.0."""
KEYS_PER_QUERY = {"postgresql": 10_000}
"""Greatest number of values in an expanding bind, by database; databases not named here take at least 1,000."""

_WHOLE_NUMBERS = {21: 2**15, 23: 2**31, 20: 2**63}
_NUMERIC, _UUID = 1700, 2950
"""PostgreSQL's types by their numbers (pg_type.dat): smallint, integer and bigint with the end of their range, numeric, uuid."""

_READ_ONLY = "SET TRANSACTION READ ONLY; SET LOCAL TIME ZONE 'UTC'; SET LOCAL datestyle = 'ISO, YMD'"
_EXPANDING = re.compile(r"\(__\[POSTCOMPILE_(\w+)\]\)")
_ESCAPE = re.compile(r"\\([^N])")
_WHOLE_NUMBER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,400}(?:\.\d{1,400})?", re.ASCII)
_IS_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Warehouse:
    """The queries of one warehouse connection."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._types: dict[str, dict[str, Any]] = {}

    @property
    def keys_per_query(self) -> int:
        """Greatest number of identity keys in one query."""
        return KEYS_PER_QUERY.get(self._engine.dialect.name, 1_000)

    @property
    def no_key(self) -> str | None:
        """The identity key for a check of a query without rows: PostgreSQL compares NULL with a column of any type."""
        return None if self._is_copied else ""

    def columns(self, sql: str, parameters: Mapping[str, Any]) -> list[str]:
        """The columns that the query returns, in lower case, without reading a row.

        :raises Unusable: if the database refuses the query.
        :raises Unavailable: if it does not answer.
        """
        with self._connect() as connection:
            result = self._execute(connection, _statement(f"SELECT * FROM (\n{sql}\n) source_rows WHERE 1 = 0", parameters))  # noqa: S608
            names = [name.lower() for name in result.keys()]
            if self._is_copied:
                self._types[sql] = dict(zip(names, (column[1] for column in result.cursor.description), strict=True))
            return names

    def may_hold(self, sql: str, column: str) -> Callable[[str], bool]:
        """Whether a column of a query, whose columns were asked for, could ever be written as a given text.

        PostgreSQL refuses the whole query for one text that is no number where it compares with numbers.
        """
        type_ = self._types.get(sql, {}).get(column)
        if type_ in _WHOLE_NUMBERS:
            end = _WHOLE_NUMBERS[type_]
            return lambda text: _WHOLE_NUMBER.fullmatch(text) is not None and -end <= int(text) < end
        if type_ == _NUMERIC:
            return lambda text: _NUMBER.fullmatch(text) is not None
        if type_ == _UUID:
            return lambda text: _IS_UUID.fullmatch(text) is not None
        return lambda _: True

    def read(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        columns: Sequence[str],
        handle: Callable[[Chunk], None],
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        """Hand the rows of a query over in chunks of the given columns, each an object Series with the index 0, 1, 2, …

        It calls back, and the server waits meanwhile, because that is how psycopg2 copies.

        :raises Unusable: if the database refuses the query, or fails at one of its rows.
        :raises Unavailable: if it does not answer.
        """

        def hand_over(values: Iterable[list[Any]]) -> None:
            handle({name: pd.Series(of_column, dtype=object) for name, of_column in zip(columns, values, strict=True)})

        statement = _statement(f"SELECT {', '.join(columns)} FROM (\n{sql}\n) source_rows", parameters)  # noqa: S608 - the query is the user's own
        with self._connect() as connection:
            if self._is_copied:
                types = self._types.get(sql, {})
                self._copy(connection, statement, hand_over, chunk_rows, [types.get(name) == _NUMERIC for name in columns])
            else:
                self._stream(connection, statement, hand_over, chunk_rows)

    @property
    def _is_copied(self) -> bool:
        return (self._engine.dialect.name, self._engine.dialect.driver) == ("postgresql", "psycopg2")

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"The warehouse (connection {self._name}) does not answer: {_first_line(error)}.") from error

    def _execute(self, connection: Connection, statement: sa.TextClause) -> sa.CursorResult[Any]:
        try:
            return connection.execute(statement)
        except sa.exc.DBAPIError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sa.exc.DBAPIError) -> Unusable | Unavailable:
        if error.connection_invalidated or (
            isinstance(error, sa.exc.OperationalError) and self._engine.dialect.name == "postgresql"
        ):
            return Unavailable(f"The warehouse (connection {self._name}) went away: {_first_line(error)}.")
        return Unusable(f"The warehouse (connection {self._name}) refuses the query: {_first_line(error)}.")

    def _stream(
        self, connection: Connection, statement: sa.TextClause, hand_over: Callable[[Iterable[list[Any]]], None], chunk_rows: int
    ) -> None:
        dialect = connection.dialect
        if not dialect.supports_server_side_cursors and dialect.name not in STREAM_BY_THEMSELVES:
            log.warning(
                "The driver %s+%s of connection %s is not known to stream: it may hold the whole result of a query in this "
                "worker's memory, about 1.4 GB for a million rows.",
                dialect.name,
                dialect.driver,
                self._name,
            )
        streaming = connection.execution_options(stream_results=True, max_row_buffer=chunk_rows)
        result = self._unless_passing(lambda: streaming.execute(statement))
        while rows := self._unless_passing(lambda: result.fetchmany(chunk_rows)):
            hand_over(map(list, zip(*rows, strict=True)))

    def _unless_passing(self, read: Callable[[], T]) -> T:
        """Read from a query that the database has accepted: an operational error may pass (PEP 249), so it is Unavailable."""
        try:
            return read()
        except sa.exc.OperationalError as error:
            raise Unavailable(f"The warehouse (connection {self._name}) does not go on: {_first_line(error)}.") from error
        except sa.exc.DBAPIError as error:
            raise self._refusal(error) from error

    def _copy(
        self,
        connection: Connection,
        statement: sa.TextClause,
        hand_over: Callable[[Iterable[list[Any]]], None],
        chunk_rows: int,
        are_numeric: Sequence[bool],
    ) -> None:
        lines = _Lines(hand_over, chunk_rows, are_numeric)
        postgres: Any = connection.connection.driver_connection
        try:
            postgres.set_client_encoding("UTF8")
            with postgres.cursor() as cursor:
                cursor.execute(_READ_ONLY)
                cursor.copy_expert(f"COPY ({self._with_values(cursor, statement, connection.dialect)}) TO STDOUT", lines)
        except psycopg2.Error as error:
            if error is lines.failure:
                raise
            if isinstance(error, psycopg2.OperationalError):
                raise Unavailable(f"The warehouse (connection {self._name}) went away: {_first_line(error)}.") from error
            raise Unusable(f"The warehouse (connection {self._name}) refuses the query: {_first_line(error)}.") from error
        lines.flush()

    @staticmethod
    def _with_values(cursor: Any, statement: sa.TextClause, dialect: sa.Dialect) -> str:
        """The query with its values in it, since COPY takes no binds; psycopg2 writes a tuple as a list for IN."""
        compiled = statement.compile(dialect=dialect)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in compiled.params.items()}
        query: bytes = cursor.mogrify(_EXPANDING.sub(r"%(\1)s", compiled.string), values)
        return query.decode()


class _Lines:
    """Collects the lines that COPY writes, and hands them over in chunks.

    ``failure`` is the exception of the function that took the lines; it is no failure of the warehouse.
    """

    def __init__(
        self, hand_over: Callable[[Iterable[list[str | None]]], None], chunk_rows: int, are_numeric: Sequence[bool]
    ) -> None:
        self._hand_over = hand_over
        self._chunk_rows = chunk_rows
        self._are_numeric = are_numeric
        self._lines: list[bytes] = []
        self.failure: Exception | None = None

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == self._chunk_rows:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            text = b"".join(self._lines).decode()
            self._lines = []
            # A tab or a line end within a value is escaped, so what is left of them ends a field: one split for all the rows,
            # and a column is every n-th of them. A list for each row would cost several times as much.
            fields = text.replace("\n", "\t").split("\t")
            fields.pop()
            has_escapes, width = _ESCAPE.search(text) is not None, len(self._are_numeric)
            columns = (
                _column(fields[place::width], is_numeric, has_escapes) for place, is_numeric in enumerate(self._are_numeric)
            )
            try:
                self._hand_over(columns)
            except Exception as error:
                self.failure = error
                raise


def _column(fields: list[str], is_numeric: bool, has_escapes: bool) -> list[str | None]:
    """The values of one column of COPY's text format (PostgreSQL manual, COPY, Text Format)."""
    if is_numeric:
        return [_shortest(field) for field in fields]
    if has_escapes:
        return [_value(field) for field in fields]
    return [None if field == r"\N" else field for field in fields]


def _shortest(field: str) -> str | None:
    """A field of type numeric without zeros at its end, so that an ID in such a column is the same as in one of integers."""
    if field == r"\N":
        return None
    return field.rstrip("0").rstrip(".") if "." in field else field


def _value(field: str) -> str | None:
    """A field in which something may be escaped."""
    return None if field == r"\N" else _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), field)


def _statement(sql: str, parameters: Mapping[str, Any]) -> sa.TextClause:
    """The SQL with those of the parameters bound that it names; a list becomes an expanding bind.

    :raises Unusable: if it names another.
    """
    text = sa.text(sql)
    names = text.compile().params
    for name in names:
        if name not in parameters:
            known = " and ".join(f":{parameter}" for parameter in parameters)
            raise Unusable(
                f"A query names :{name}, but it is given {known}: use these, and write a colon that is none of them as \\:."
            )
    named = {name: parameters[name] for name in names}
    return text.bindparams(*(sa.bindparam(name, value, expanding=isinstance(value, list)) for name, value in named.items()))


def _first_line(error: Exception) -> str:
    """The first line of what the driver said, without what SQLAlchemy adds."""
    return first_line(getattr(error, "orig", None) or error)
