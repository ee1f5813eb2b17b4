"""Reads any warehouse that SQLAlchemy knows, in chunks, so that memory stays flat however many rows there are.

PostgreSQL is read by ``COPY … TO STDOUT``, which is several times faster than a cursor and hands every value over
as text, so that no value that a table can hold (``infinity``, a year before Christ) breaks the driver. Everything
else is read through a streaming cursor with the driver's own values.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd
import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import encodings
from sqlalchemy.engine import Connection, Engine

from webflow_conversions.errors import Unavailable, Unusable
from webflow_conversions.rules.ids import as_text
from webflow_conversions.rules.mistakes import Mistake
from webflow_conversions.rules.personal_data import looks_like_personal_data
from webflow_conversions.rules.query import Query
from webflow_conversions.rules.text import is_storable
from webflow_conversions.warehouse.copy import Lines
from webflow_conversions.warehouse.reaching import connect
from webflow_conversions.warehouse.refusals import refusal
from webflow_conversions.warehouse.sessions import prepare_sessions
from webflow_conversions.warehouse.statement import Statement, Text
from webflow_conversions.warehouse.types import OTHER, ColumnType, column_type

log = logging.getLogger(__name__)

Chunk = dict[str, pd.Series]
T = TypeVar("T")

CHUNK_ROWS = 20_000
STREAM_BY_THEMSELVES = frozenset({"duckdb", "sqlite"})
"""Databases whose drivers hand rows over as they are fetched, without being asked to; tried with SQLite 3.40 and DuckDB 2.0."""
KEYS_PER_QUERY = {"postgresql": 10_000}
"""Greatest number of values in an expanding bind, by database; databases not named here take at least 1,000."""

FETCHED_ROWS = 1_000
"""Rows that are fetched at once from a cursor; of a row at which the driver fails, the place is known to this many."""

_READ_ONLY = """
SET TRANSACTION READ ONLY; SET LOCAL TIME ZONE 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 3
"""
_AS_IT_IS = re.compile(r"SQL_ASCII|LATIN\d+|WIN\d+|ISO_8859_\d+|KOI8[RU]")
"""Encodings of databases that are decoded here, so that a byte without a meaning concerns its row alone. SQL_ASCII is any bytes,
of which most are UTF-8."""
_EXPANDING = re.compile(r"\(__\[POSTCOMPILE_(\w+)\]\)")


class Warehouse:
    """The queries of one warehouse connection."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._statements: dict[str, Statement] = {}
        self._columns: dict[str, dict[str, _Column]] = {}
        if not self._is_copied:
            prepare_sessions(engine)

    @property
    def keys_per_query(self) -> int:
        """Greatest number of identity keys in one query."""
        return KEYS_PER_QUERY.get(self._engine.dialect.name, 1_000)

    @property
    def no_key(self) -> str | None:
        """The identity key for a check of a query without rows: PostgreSQL compares NULL with a column of any type."""
        return None if self._is_copied else ""

    def names(self, sql: str) -> frozenset[str]:
        """The binds that the query names.

        :raises Unusable: if it is no SELECT.
        """
        return self._statement(sql).binds

    def columns(self, sql: str, parameters: Mapping[str, Any]) -> list[str]:
        """The columns that the query returns, in lower case, without reading a row. One that is there twice is named twice.

        :raises Unusable: if the database refuses the query, or it is no SELECT.
        :raises NotLetIn: if the connection is wrong.
        :raises Unavailable: if the database does not answer.
        """
        statement = self._statement(sql)
        bound = statement.bound(parameters, "SELECT * FROM", "source_rows WHERE 1 = 0")
        with connect(self._engine, self._name) as connection:
            result = self._execute(connection, bound, statement)
            names = [column[0] for column in result.cursor.description]
            known = [name.lower() for name in result.keys()]
            codes = [column[1] for column in result.cursor.description]
            self._columns[sql] = {
                name: _Column(name=own, type=type_, code=code)
                for name, own, type_, code in zip(known, names, self._types_of(result), codes, strict=True)
            }
            if self._engine.dialect.name == "duckdb":
                # As a subquery's, DuckDB calls the second column a of a query a_1.
                described = self._execute(connection, statement.bound(parameters, "DESCRIBE", ""), statement)
                return [row[0].lower() for row in described]
            return [re.sub(r":\d+$", "", name) for name in known] if self._engine.dialect.name == "sqlite" else known

    def may_hold(self, sql: str, column: str) -> Callable[[str], bool]:
        """Whether a column of a query, whose columns were asked for, could ever be written as a given text.

        PostgreSQL refuses the whole query for one text that is no number where it compares with numbers.
        """
        return self._type(sql, column).may_hold

    def unfit(self, sql: str, column: str, use: str) -> str | None:
        """The name of a column's type if it is unfit for a :class:`Use`, of a query whose columns were asked for."""
        type_ = self._type(sql, column)
        return type_.name if use in type_.unfit else None

    def type_names(self, sql: str) -> dict[str, str]:
        """The types of the columns in the database's words, of a query whose columns were asked for; empty without such words."""
        codes = {name: column.code for name, column in self._columns[sql].items()}
        match self._engine.dialect.name:
            case "postgresql":
                with connect(self._engine, self._name) as connection:
                    named = sa.text("SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(:codes)")
                    words = {row.oid: row.format_type for row in connection.execute(named, {"codes": list(codes.values())})}
                return {name: words[code] for name, code in codes.items()}
            case "duckdb":
                return {name: str(code) for name, code in codes.items()}
            case _:
                return {}

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

        if sql not in self._columns:
            no_keys = [self.no_key]
            self.columns(sql, {name: no_keys if isinstance(value, list) else value for name, value in parameters.items()})
        statement, quote = self._statement(sql), self._engine.dialect.identifier_preparer.quote_identifier
        own_names = ", ".join(quote(self._columns[sql][name].name) for name in columns)
        bound = statement.bound(parameters, f"SELECT {own_names} FROM", "source_rows")
        with connect(self._engine, self._name) as connection:
            if self._is_copied:
                types = {name: self._type(sql, name) for name in columns}
                self._copy(connection, bound, statement, hand_over, chunk_rows, types)
            else:
                self._stream(connection, bound, statement, hand_over, chunk_rows, columns)

    def _statement(self, sql: str) -> Statement:
        query = Query(sql)
        known = self._statements.get(query)
        if known is None or known.query.at() != query.at():
            known = self._statements[query] = Statement(query, self._engine.dialect.name)
        return known

    def _type(self, sql: str, column: str) -> ColumnType:
        found = self._columns.get(sql, {}).get(column)
        return found.type if found else OTHER

    @property
    def _is_copied(self) -> bool:
        return (self._engine.dialect.name, self._engine.dialect.driver) == ("postgresql", "psycopg2")

    def _execute(self, connection: Connection, bound: Text, statement: Statement) -> sa.CursorResult[Any]:
        try:
            return connection.execute(bound)
        except sa.exc.DBAPIError as error:
            raise self._refusal(error, statement) from None

    def _types_of(self, result: sa.CursorResult[Any]) -> list[ColumnType]:
        dialect = self._engine.dialect.name
        return [column_type(dialect, column[1], is_text=self._is_copied) for column in result.cursor.description]

    def _refusal(
        self, error: sa.exc.DBAPIError | psycopg2.Error, statement: Statement, place: str = ""
    ) -> Unusable | Unavailable:
        """The error for people. What is behind it may hold values of rows: it is to be raised ``from None``."""
        driver_s = getattr(error, "orig", None) or error
        found = refusal(driver_s, statement)
        query = statement.query.at(*found.lines)
        if found.mistake is Mistake.TIME:
            return Unavailable(f"The warehouse (connection {self._name}) ended the {query}: {found.told}{place}.{found.remedy}")
        if getattr(error, "connection_invalidated", False) or (
            isinstance(error, (sa.exc.OperationalError, psycopg2.OperationalError)) and self._engine.dialect.name == "postgresql"
        ):
            return Unavailable(f"The warehouse (connection {self._name}) went away: {found.told}{place}.")
        return Unusable(f"The warehouse (connection {self._name}) refuses the {query}: {found.told}{place}.{found.remedy}")

    def _stream(
        self,
        connection: Connection,
        bound: Text,
        statement: Statement,
        hand_over: Callable[[Iterable[list[Any]]], None],
        chunk_rows: int,
        columns: Sequence[str],
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
        seen, rows = _Seen(columns), list[Any]()
        streaming = connection.execution_options(stream_results=True, max_row_buffer=chunk_rows)
        result = self._read_on(lambda: streaming.execute(bound), statement, seen)
        converts = [type_.convert for type_ in self._types_of(result)]

        def flush() -> None:
            values = zip(*rows, strict=True)
            hand_over(_converted(list(column), convert) for column, convert in zip(values, converts, strict=True))
            rows.clear()

        def fetch() -> Sequence[Any]:
            return result.fetchmany(min(FETCHED_ROWS, chunk_rows - len(rows)))

        while fetched := self._read_on(fetch, statement, seen):
            rows.extend(fetched)
            seen.add(fetched)
            if len(rows) == chunk_rows:
                flush()
        if rows:
            flush()

    def _read_on(self, read: Callable[[], T], statement: Statement, seen: "_Seen") -> T:
        """Read from a query that the database has accepted: an operational error may pass (PEP 249), so it is Unavailable."""
        try:
            return read()
        except sa.exc.OperationalError as error:
            found = refusal(error.orig or error, statement)
            query = statement.query.at(*found.lines)
            told = f"does not go on with the {query}: {found.told}{seen.told()}.{found.remedy}"
            raise Unavailable(f"The warehouse (connection {self._name}) {told}") from None
        except sa.exc.DBAPIError as error:
            raise self._refusal(error, statement, seen.told()) from None
        except (ValueError, ArithmeticError) as error:
            # The message may hold the value, and that may be an identity key.
            raise Unusable(
                f"The driver of the warehouse (connection {self._name}) cannot read a value of the {statement.query.at()} "
                f"({type(error).__name__}){seen.told()}: "
                "return its column as text from the query, or leave the row out."
            ) from None

    def _copy(
        self,
        connection: Connection,
        bound: Text,
        statement: Statement,
        hand_over: Callable[[Iterable[list[Any]]], None],
        chunk_rows: int,
        types: Mapping[str, ColumnType],
    ) -> None:
        postgres: Any = connection.connection.driver_connection
        encoding = postgres.info.parameter_status("server_encoding")
        is_decoded_here = _AS_IT_IS.fullmatch(encoding) is not None and encoding != "SQL_ASCII"
        lines = Lines(hand_over, chunk_rows, list(types.values()), encodings[encoding] if is_decoded_here else "utf-8")
        try:
            with postgres.cursor() as cursor:
                cursor.execute(_READ_ONLY)
                query = self._with_values(cursor, bound, connection.dialect, lines.codec)
                if _AS_IT_IS.fullmatch(encoding):
                    cursor.execute("SELECT set_config('client_encoding', %s, true)", (encoding,))
                cursor.copy_expert(b"COPY (" + query.encode(lines.codec) + b") TO STDOUT", lines)
        except psycopg2.Error as error:
            if error is lines.failure:
                raise
            seen = _Seen(list(types))
            if seen.place is not None:
                seen.rows, seen.last = lines.seen(seen.place)
            raise self._refusal(error, statement, seen.told()) from None
        lines.flush()

    @staticmethod
    def _with_values(cursor: Any, bound: Text, dialect: sa.Dialect, codec: str) -> str:
        """The query with its values in it, since COPY takes no binds; psycopg2 writes a tuple as a list for IN.

        A text of a list that the database's encoding cannot write is in none of its columns, and is left out.
        """
        compiled = bound.compile(dialect=dialect)
        values = {
            name: tuple(one for one in value if _can_write(codec, one)) or (None,) if isinstance(value, list) else value
            for name, value in compiled.params.items()
        }
        query: bytes = cursor.mogrify(_EXPANDING.sub(r"%(\1)s", compiled.string), values)
        return query.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column under the name that the database gives it, to the letter; ``code`` is the driver's for its type (PEP 249)."""

    name: str
    type: ColumnType
    code: Any


class _Seen:
    """How far a query was read. The sentence of an error is kept by Airflow and the ledger, where no conversion ID would ever be
    removed with its person; the log may name one. No identity key is named at all.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.place = columns.index("conversion_id") if "conversion_id" in columns else None
        self.rows = 0
        self.last: Any = None

    def add(self, rows: Sequence[Any]) -> None:
        self.rows += len(rows)
        self.last = None if self.place is None else rows[-1][self.place]

    def told(self) -> str:
        """The end of a sentence; logs the last conversion ID."""
        if not self.rows:
            return ""
        name = as_text(self.last)
        if name is not None and is_storable(name) and not looks_like_personal_data(name):
            log.warning("the last row that was read before the query failed has the conversion_id %s", name[:100])
        return f", after {self.rows:,} {'row' if self.rows == 1 else 'rows'}"


def _can_write(codec: str, value: Any) -> bool:
    try:
        return not isinstance(value, str) or value.encode(codec) is not None
    except UnicodeEncodeError:
        return False


def _converted(values: list[Any], convert: Callable[[Any], Any] | None) -> list[Any]:
    return values if convert is None else [None if value is None else convert(value) for value in values]
