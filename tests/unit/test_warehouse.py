"""What a session is told, and what a column's type means, without a database."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from webflow_conversions.warehouse.sessions import IN_UTC, prepare
from webflow_conversions.warehouse.types import column_type


class FakeConnection:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.text_factory: Any = str

    def cursor(self) -> "FakeConnection":
        return self

    def execute(self, statement: str) -> None:
        self.told.append(statement)

    def commit(self) -> None:
        self.told.append("COMMIT")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("dialect", IN_UTC)
def test_a_session_is_set_to_utc_before_anything_else_and_a_rollback_does_not_undo_it(dialect: str) -> None:
    connection = FakeConnection()
    prepare(connection, dialect)
    assert connection.told[0] == IN_UTC[dialect]
    assert connection.told[1:] == (["COMMIT"] if dialect in ("postgresql", "cockroachdb", "redshift", "vertica") else [])


@pytest.mark.parametrize("dialect", ["bigquery", "mssql", "sqlite", "another"])
def test_a_database_without_a_zone_of_a_session_is_told_nothing(dialect: str) -> None:
    connection = FakeConnection()
    prepare(connection, dialect)
    assert connection.told == []
    assert (connection.text_factory is str) == (dialect != "sqlite")


@pytest.mark.parametrize(
    ("code", "written", "read", "value"),
    [
        (16, "t", True, True),
        (17, "\\x00ff", b"\x00\xff", None),
        (700, "0.1", 0.10000000149011612, np.float32(0.1)),
        (701, "1e+15", 1e15, 1e15),
        (1042, "a  ", "a  ", "a"),
        (1700, "1.50", Decimal("1.50"), None),
        (3802, '"a"', "a", "a"),
        (25, "a ", "a ", "a "),
    ],
)
def test_a_type_of_postgresql_is_read_from_text_and_left_to_a_driver_that_reads_it(
    code: int, written: str, read: Any, value: Any
) -> None:
    by_driver = column_type("postgresql", code).convert or (lambda given: given)
    by_copy = column_type("postgresql", code, is_text=True).convert or (lambda given: given)
    assert by_driver(read) == (read if value is None else value)
    if value is not None:
        assert by_copy(written) == value
