"""Fixture files of ``webflow-conversions test``: tables in, conversions out.

A fixture has the rows of the warehouse's tables and the moment at which a run looks at them, and says what becomes of each
conversion. The tables are made in an embedded DuckDB, so that the test needs no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from webflow_conversions.cli.output import standing
from webflow_conversions.configuration import moment_written_out
from webflow_conversions.errors import Unusable, first_line
from webflow_conversions.files import parse

if TYPE_CHECKING:
    from webflow_conversions.warehouse.reader import Warehouse

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\(\d+(, ?\d+)?\))?(\[\])?")
_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d(:\d\d(\.\d+)?)?"
_FORMS = {
    "TIMESTAMPTZ": re.compile(rf"{_DATE}[ T]{_TIME} ?(Z|[+-]\d\d(:?\d\d)?)"),
    "TIMESTAMP": re.compile(rf"{_DATE}[ T]{_TIME}"),
    "DATE": re.compile(_DATE),
}


_FIRST_NOW = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest moment at which a run may look: a month before it still has to be one."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(_Part):
    """The rows of a table. A column has the type that ``types`` gives it in DuckDB's words, else the type of its values."""

    types: dict[str, str] = {}
    rows: list[dict[str, Any]] = []


class Fixture(_Part):
    """A fixture file: ``expect`` has the conversions of each source, each with the fields that matter."""

    now: Annotated[AwareDatetime, BeforeValidator(moment_written_out), Field(ge=_FIRST_NOW)]
    date: str | None = None
    tables: Annotated[dict[str, Table], Field(min_length=1)]
    expect: Annotated[dict[str, list[dict[str, Any]]], Field(min_length=1)]


def read_fixture(path: Path) -> Fixture:
    """The fixture of a file.

    :raises Unusable: if it cannot be read, or is wrong.
    """
    return parse(path, Fixture, "fixture")


@contextmanager
def warehouse_of(fixture: Fixture) -> Iterator[Warehouse]:
    """A database with the tables of a fixture.

    :raises Unusable: if DuckDB is not installed, or a table cannot be made.
    """
    from webflow_conversions.warehouse.reader import Warehouse

    with TemporaryDirectory(prefix="webflow-fixture-") as folder:
        try:
            engine = sa.create_engine(f"duckdb:///{folder}/warehouse.duckdb", poolclass=sa.NullPool, hide_parameters=True)
        except (sa.exc.NoSuchModuleError, ImportError) as error:
            raise Unusable(
                "Fixtures need DuckDB: pip install 'webflow-offsite-conversions[test]', or duckdb and duckdb-engine."
            ) from error
        try:
            for name, table in fixture.tables.items():
                _make(engine, name, table)
            yield Warehouse(engine, "of the fixture")
        finally:
            engine.dispose()


def _make(engine: sa.Engine, name: str, table: Table) -> None:
    """Make a table; ``schema.table`` makes the schema, too."""
    columns = list(dict.fromkeys([*table.types, *(column for row in table.rows for column in row)]))
    types = {column: _type_of(name, column, table) for column in columns}
    quoted = ".".join(_quoted(part) for part in name.split("."))
    schema = name.rpartition(".")[0]
    try:
        with engine.begin() as connection:
            if schema:
                connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}"))
            listed = ", ".join(f"{_quoted(column)} {type_}" for column, type_ in types.items())
            connection.execute(sa.text(f"CREATE TABLE {quoted} ({listed})"))
            if table.rows:
                casts = ", ".join(f"CAST(:{_bind(place)} AS {type_})" for place, type_ in enumerate(types.values()))
                rows = [{_bind(place): row.get(column) for place, column in enumerate(columns)} for row in table.rows]
                connection.execute(sa.text(f"INSERT INTO {quoted} VALUES ({casts})"), rows)  # noqa: S608 - names are quoted
    except sa.exc.DBAPIError as error:
        raise Unusable(f"The table {name} of the fixture cannot be made: {first_line(error.orig or error)}.") from error


def _type_of(table_name: str, column: str, table: Table) -> str:
    declared = table.types.get(column)
    if declared is not None:
        if not _TYPE.fullmatch(declared):
            raise Unusable(f"The type {declared!r} of {table_name}.{column} in the fixture is none of DuckDB.")
        return declared
    values = [row[column] for row in table.rows if row.get(column) is not None]
    return _common_type(values)


def _common_type(values: Sequence[Any]) -> str:
    """The type that holds all values as they are written."""
    if values and all(isinstance(value, bool) for value in values):
        return "BOOLEAN"
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "BIGINT"
    if values and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "DECIMAL(18, 4)"
    for type_, form in _FORMS.items():
        if values and all(isinstance(value, str) and form.fullmatch(value) for value in values):
            return type_
    return "VARCHAR"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'


def _bind(place: int) -> str:
    return f"column_{place}"


def differences(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs between the conversions that were expected and those that came out, one sentence each.

    A conversion is found by its ``conversion_id``, and its ``event_name`` where a source has several of the ID. Only the fields
    that the expectation names are compared; in ``payload`` likewise.
    """
    left = [dict(one) for one in found]
    sentences: list[str] = []
    for wanted in expected:
        named = {name: wanted.get(name) for name in ("conversion_id", "event_name") if name in wanted}
        match = next((one for one in left if _agrees(named, one)), None)
        label = " ".join(str(value) for value in named.values())
        if match is None:
            sentences.append(f"{label}: no such conversion came out")
            continue
        left.remove(match)
        sentences += [
            f"{label}: {name} is {match.get(name)!r}, not {value!r}"
            for name, value in wanted.items()
            if not _agrees({name: value}, match)
        ]
    sentences += [
        f"{one.get('conversion_id')}: came out as {standing(one['state'], one['reason'])}, and is not in expect" for one in left
    ]
    return sentences


def _agrees(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether what was found has all that was wanted; a mapping within is compared by its own keys."""
    return all(
        _agrees(value, found.get(name) or {})
        if isinstance(value, dict) and isinstance(found.get(name), Mapping | None)
        else _is_same(value, found.get(name))
        for name, value in wanted.items()
    )


def _is_same(wanted: Any, found: Any) -> bool:
    """Whether two values are written alike; a number equals any text of the same number."""
    if wanted is None or found is None:
        return wanted is found
    if any(isinstance(one, int | float | Decimal) and not isinstance(one, bool) for one in (wanted, found)):
        try:
            return Decimal(str(wanted)) == Decimal(str(found))
        except ArithmeticError:
            return False
    return str(wanted) == str(found)
