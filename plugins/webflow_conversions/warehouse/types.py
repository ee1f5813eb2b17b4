"""The types of a query's columns: what becomes of a value before anybody sees it, and what a column cannot be used for."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np


class Use(StrEnum):
    """What a query's column is used for."""

    ID = "id"
    """An ID that is sent or looked up as text."""
    KEY = "key"
    """An ID that the query itself compares with text."""
    TIME = "time"
    MOMENT = "moment"
    """A time of which the second counts."""
    LOCAL_TIME = "local time"
    """A time in a zone other than UTC."""


def _anything(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """A type: its name in the database's words, and the uses for which a column of it is ``unfit``.

    ``convert`` is applied to each value that is not null; ``may_hold`` tells whether a value could be written as a text.
    """

    name: str
    unfit: frozenset[Use] = frozenset()
    convert: Callable[[Any], Any] | None = None
    may_hold: Callable[[str], bool] = _anything


_NO_MOMENT = frozenset({Use.MOMENT})
_NO_TIME = frozenset({Use.TIME, Use.MOMENT})
_NO_ID = frozenset({Use.ID, Use.KEY})
_NEITHER = _NO_TIME | _NO_ID
_BINARY = frozenset({Use.KEY}) | _NO_TIME

OTHER = ColumnType(name="text")


# PostgreSQL: every value comes as text, the types have numbers (pg_type.dat)

_WHOLE_NUMBER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,400}(?:\.\d{1,400})?", re.ASCII)
_SHORT_NUMBER = re.compile(r"-?\d{1,16}(?:\.\d{1,30})?", re.ASCII)
"""A number that is neither too large nor too small for any floating-point type."""
_IS_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})


def _whole(name: str, end: int) -> ColumnType:
    return ColumnType(name=name, may_hold=lambda text: _WHOLE_NUMBER.fullmatch(text) is not None and -end <= int(text) < end)


def shortest(number: str) -> str | Decimal:
    """A number of type numeric without zeros at its end, so that an ID in such a column is the same as in one of integers."""
    if "." in number:
        return number.rstrip("0").rstrip(".")
    return Decimal(number) if number in _NO_NUMBERS else number


def _of_json(text: str) -> Any:
    """The value of a JSON document; its text where Python cannot hold a number in it."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return text


NUMERIC = 1700

POSTGRESQL: Mapping[int, ColumnType] = {
    16: ColumnType(name="boolean", unfit=_NO_TIME, convert=lambda text: text == "t"),
    17: ColumnType(name="bytea", unfit=_BINARY, convert=lambda text: text.removeprefix("\\x")),
    20: _whole("bigint", 2**63),
    21: _whole("smallint", 2**15),
    23: _whole("integer", 2**31),
    114: ColumnType(name="json", convert=_of_json),
    3802: ColumnType(name="jsonb", convert=_of_json),
    700: ColumnType(
        name="real",
        unfit=_NO_MOMENT,  # of an epoch it holds 128 seconds
        convert=np.float32,
        may_hold=lambda text: _SHORT_NUMBER.fullmatch(text) is not None,
    ),
    701: ColumnType(name="double precision", convert=float, may_hold=lambda text: _SHORT_NUMBER.fullmatch(text) is not None),
    790: ColumnType(name="money", unfit=_NEITHER),
    1042: ColumnType(name="character", convert=lambda text: text.rstrip(" ")),
    1082: ColumnType(name="date", unfit=_NO_MOMENT),
    1083: ColumnType(name="time", unfit=_NEITHER),
    1114: ColumnType(name="timestamp", unfit=_NO_ID),
    1184: ColumnType(name="timestamp with time zone", unfit=_NO_ID),
    1186: ColumnType(name="interval", unfit=_NEITHER),
    1266: ColumnType(name="time with time zone", unfit=_NEITHER),
    NUMERIC: ColumnType(name="numeric", convert=shortest, may_hold=lambda text: _NUMBER.fullmatch(text) is not None),
    2950: ColumnType(name="uuid", unfit=_NO_TIME, may_hold=lambda text: _IS_UUID.fullmatch(text) is not None),
    **{
        number: ColumnType(name=f"{of}[]", unfit=_NEITHER)
        for number, of in {
            199: "json", 1000: "boolean", 1005: "smallint", 1007: "integer", 1009: "text", 1014: "character", 1015: "varchar",
            1016: "bigint", 1021: "real", 1022: "double precision", 1115: "timestamp", 1182: "date", 1185: "timestamptz",
            1231: "numeric", 2951: "uuid", 3807: "jsonb",
        }.items()
    },
}  # fmt: skip


# DuckDB: the driver's own values, the types have names


_ENDS = {
    "9999-12-31T23:59:59.999999": "infinity",
    "9999-12-31": "infinity",
    "0001-01-01T00:00:00": "-infinity",
    "0001-01-01": "-infinity",
}


def _not_the_end_of_time(value: Any) -> Any:
    """A moment, or ``infinity`` where the driver gives the calendar's end in its place."""
    if isinstance(value, datetime):
        return _ENDS.get(value.replace(tzinfo=None).isoformat(), value)
    if isinstance(value, date):
        return _ENDS.get(value.isoformat(), value)
    return value


def _duckdb(name: str) -> ColumnType:
    match re.split(r"[_( ]", name)[0]:
        case _ if name.endswith("]") or name.startswith(("STRUCT", "MAP", "UNION", "TUPLE")):
            return ColumnType(name=name, unfit=_NEITHER)
        case "FLOAT":
            return ColumnType(name=name, unfit=_NO_MOMENT, convert=np.float32)
        case "TIMESTAMP":
            return ColumnType(name=name, unfit=_NO_ID, convert=_not_the_end_of_time)
        case "DATE":
            return ColumnType(name=name, unfit=_NO_MOMENT, convert=_not_the_end_of_time)
        case "TIME" | "INTERVAL":
            return ColumnType(name=name, unfit=_NEITHER)
        case "BLOB":
            return ColumnType(name=name, unfit=_BINARY)
        case "BOOLEAN" | "UUID":
            return ColumnType(name=name, unfit=_NO_TIME)
        case _:
            return ColumnType(name=name)


# MySQL and MariaDB: the driver's own values, the types have numbers (the protocol's field types)

_MYSQL: Mapping[int, ColumnType] = {
    4: ColumnType(name="FLOAT", unfit=_NO_ID | _NO_MOMENT),  # the server writes 6 of its digits
    7: ColumnType(name="TIMESTAMP", unfit=_NO_ID | {Use.LOCAL_TIME}),  # a moment, shown in the session's zone
    10: ColumnType(name="DATE", unfit=_NO_MOMENT),
    11: ColumnType(name="TIME", unfit=_NEITHER),
    12: ColumnType(name="DATETIME", unfit=_NO_ID),
    16: ColumnType(name="BIT", unfit=_NEITHER),
    255: ColumnType(name="GEOMETRY", unfit=_NEITHER),
}


_POSTGRESQL_DRIVER = frozenset({700, 1042})
"""The types of PostgreSQL, real and character, whose values are converted although a driver has read them."""


def column_type(dialect: str, code: Any, *, is_text: bool = False) -> ColumnType:
    """The type of a column, from what the driver says of it (PEP 249, ``description``).

    :param is_text: values come as PostgreSQL writes them, not as a driver reads them.
    """
    match dialect:
        case "postgresql":
            type_ = POSTGRESQL.get(code, OTHER)
            return type_ if is_text or code in _POSTGRESQL_DRIVER else replace(type_, convert=None)
        case "duckdb":
            return _duckdb(str(code))
        case "mysql" | "mariadb":
            return _MYSQL.get(code, OTHER)
        case _:
            return OTHER
