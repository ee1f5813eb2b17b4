"""An ID is the same text on every warehouse and on every path, or it is refused: PostgreSQL by COPY, the others by a cursor.

The server's zone is nowhere UTC.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

from demo.postgres import PostgresServer
from tests.mariadb import MariaDBServer
from tests.night import NOW, RULES
from webflow_conversions.errors import Unusable
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery
from webflow_conversions.rules.evaluation import evaluate
from webflow_conversions.rules.identity import known_users_frame
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.rules.source import TimestampKind
from webflow_conversions.rules.window import Window, to_milliseconds
from webflow_conversions.warehouse.reader import Warehouse

SERVERS_ZONE = "Etc/GMT+5"
"""Five hours behind UTC, as the zone of the MariaDB server."""

RUN = Run(id=1, run_id="run", window=Window.up_to(NOW), sources=["sales"], dry_run=False, force=False, clock_offset=None)


@dataclass(frozen=True)
class Backend:
    """A database, and what runs a statement in it."""

    name: str
    warehouse: Warehouse
    execute: Callable[[str], None]

    def records(
        self, sql: str, kind: TimestampKind = TimestampKind.EPOCH_MILLISECONDS, zone: str | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a source's query, judged."""
        query = SourceQuery(warehouse=self.warehouse, name="sales", sql=sql, window=RUN.window, zone=zone)
        query.check()
        found: list[dict[str, Any]] = []
        rules = replace(RULES, kind=kind, timezone=zone)

        def handle(chunk: dict[str, pd.Series]) -> None:
            frame = evaluate(chunk, rules, RUN.window, NOW).conversions.astype(object)
            found.extend(frame.where(frame.notna(), None).to_dict("records"))

        query.read(handle)
        return found

    def users(self, sql: str) -> KnownUsers:
        users = KnownUsers(warehouse=self.warehouse, sql=sql, personal_data=PersonalData.REJECT)
        users.check()
        return users


def _postgres(server: PostgresServer) -> Backend:
    server.create_database("types")

    def execute(statement: str) -> None:
        with closing(server.connect("types")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)

    execute(f"ALTER DATABASE types SET timezone = '{SERVERS_ZONE}'")
    execute("ALTER DATABASE types SET bytea_output = 'escape'")
    execute("ALTER DATABASE types SET extra_float_digits = 0")
    execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: server.connect("types"), poolclass=sa.NullPool)
    return Backend("postgres", Warehouse(engine, "warehouse"), execute)


def _sqlite(file: Path) -> Backend:
    def execute(statement: str) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)

    return Backend("sqlite", Warehouse(sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool), "warehouse"), execute)


def _duckdb(file: Path) -> Backend:
    def execute(statement: str) -> None:
        with duckdb.connect(file) as connection:
            connection.execute(statement)

    engine = sa.create_engine(f"duckdb:///{file}", poolclass=sa.NullPool)
    return Backend("duckdb", Warehouse(engine, "warehouse"), execute)


def _mariadb(server: MariaDBServer) -> Backend:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS types")
        cursor.execute("CREATE DATABASE types CHARACTER SET utf8mb4")

    def execute(statement: str) -> None:
        with server.connect("types") as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")
            cursor.execute(statement)

    engine = sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{server.port}/types", poolclass=sa.NullPool)
    return Backend("mariadb", Warehouse(engine, "warehouse"), execute)


@pytest.fixture(autouse=True)
def zone_of_the_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """DuckDB and SQLite run in the process, and have its zone."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", SERVERS_ZONE)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(params=["postgres", "sqlite", "duckdb", "mariadb"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    match request.param:
        case "postgres":
            return _postgres(request.getfixturevalue("postgres"))
        case "sqlite":
            return _sqlite(tmp_path / "shop")
        case "duckdb":
            return _duckdb(tmp_path / "shop")
        case _:
            return _mariadb(request.getfixturevalue("mariadb"))


# IDs


@dataclass(frozen=True)
class Case:
    """A value as each database has it (None: it has no such type), and its text; None for no ID, a reason in ``lost``."""

    text: str | None
    postgres: str | None = None
    sqlite: str | None = None
    duckdb: str | None = None
    mariadb: str | None = None
    lost: str | None = None


def everywhere(text: str | None, expression: str, lost: str | None = None) -> Case:
    return Case(text, expression, expression, expression, expression, lost)


CASES = {
    "text": everywhere("S-1", "'S-1'"),
    "text with blanks": everywhere(" S-1 ", "' S-1 '"),
    "text beyond ASCII": everywhere("Łódź-1 日本 💥", "'Łódź-1 日本 💥'"),
    "text with a backslash": Case("a\\b", "'a\\b'", "'a\\b'", "'a\\b'", "'a\\\\b'"),
    "integer": everywhere("72349876", "72349876"),
    "large integer": everywhere("9223372036854775807", "9223372036854775807"),
    "negative integer": everywhere("-7", "-7"),
    "float": Case("1234567890123456", "1234567890123456::float8", "1234567890123456.0", "1234567890123456::double", "CAST(1234567890123456 AS double)"),
    "largest float": Case("9007199254740991", "9007199254740991::float8", "9007199254740991.0", "9007199254740991::double", "CAST(9007199254740991 AS double)"),
    "negative zero": Case("0", "'-0'::float8", "-0.0", "'-0'::double", "CAST('-0' AS double)"),
    "float with a fraction": Case("0.1", "0.1::float8", "0.1", "0.1::double", "CAST(0.1 AS double)"),
    "small float": Case("0.0000001", "1e-7::float8", "1e-7", "1e-7::double", "CAST('1e-7' AS double)"),
    "single float": Case("16777215", "16777215::float4", None, "16777215::float", None),
    "single float with a fraction": Case("0.1", "0.1::float4", None, "0.1::float", None),
    "float beyond its digits": Case(None, "9007199254740993::float8", "9007199254740993.0", "9007199254740993::double", "CAST(9007199254740993 AS double)", "CAST(column AS bigint)"),
    "first float beyond its digits": Case(None, "9007199254740992::float8", "9007199254740992.0", "9007199254740992::double", "CAST(9007199254740992 AS double)", "CAST(column AS bigint)"),
    "single float beyond its digits": Case(None, "16777217::float4", None, "16777217::float", None, "CAST(column AS bigint)"),
    "float that is no number": Case(None, "'NaN'::float8", None, "'nan'::double", None),
    "single float that is no number": Case(None, "'NaN'::float4", None, "'nan'::float", None),
    "infinite float": Case(None, "'Infinity'::float8", "9e999", "'infinity'::double", None, "infinite"),
    "decimal": Case("1.5", "1.50::numeric(10, 3)", None, "1.50::decimal(10, 3)", "CAST(1.50 AS decimal(10, 3))"),
    "whole decimal": Case("1000", "1000::numeric(10, 3)", None, "1000::decimal(10, 3)", "CAST(1000 AS decimal(10, 3))"),
    "large decimal": Case("12345678901234567890123456789012345678", "12345678901234567890123456789012345678::numeric", None, "12345678901234567890123456789012345678::decimal(38, 0)", "CAST('12345678901234567890123456789012345678' AS decimal(38, 0))"),
    "decimal that is no number": Case(None, "'NaN'::numeric"),
    "infinite decimal": Case(None, "'Infinity'::numeric", lost="infinite"),
    "padded": Case("abc", "'abc'::char(12)", None, None, "CAST('abc' AS char(12))"),
    "padded with a blank before": Case(" abc", "' abc'::char(12)", None, None, "CAST(' abc' AS char(12))"),
    "padded and blank": Case(None, "''::char(12)"),
    "uuid": Case("00000000-0000-0000-0000-0000000000ab", "'00000000-0000-0000-0000-0000000000AB'::uuid", None, "'00000000-0000-0000-0000-0000000000AB'::uuid", "CAST('00000000-0000-0000-0000-0000000000AB' AS uuid)"),
    "true": Case("true", "true", None, "true", None),
    "false": Case("false", "false", None, "false", None),
    "date": Case("2026-03-14", "'2026-03-14'::date", None, "'2026-03-14'::date", "CAST('2026-03-14' AS date)"),
    "json text": Case("abc", "'\"abc\"'::json", None, "'\"abc\"'::json", None),
    "json text with escapes": Case('a"\\ü', "'\"a\\\"\\\\\\u00fc\"'::json", None, "'\"a\\\"\\\\\\u00fc\"'::json", None),
    "jsonb text": Case("abc", "'\"abc\"'::jsonb"),
    "jsonb number": Case("1.5", "'1.50'::jsonb", None, "'1.50'::json", None),
    "large jsonb number": Case("12345678901234567890", "'12345678901234567890'::jsonb", None, "'12345678901234567890'::json", None),
    "jsonb number with an exponent": Case("1000", "'1e3'::jsonb", None, "'1e3'::json", None),
    "jsonb null": Case(None, "'null'::jsonb", None, "'null'::json", None),
    "jsonb object": Case(None, "'{\"a\" \\: 1}'::jsonb", None, "'{\"a\" \\: 1}'::json", None, "CAST(column AS text)"),
    "null": everywhere(None, "NULL"),
    "blank": everywhere(None, "'  '"),
}  # fmt: skip


def of(backend: Backend) -> dict[str, tuple[str, Case]]:
    """The cases whose type the database has, each with its expression."""
    return {name: (getattr(case, backend.name), case) for name, case in CASES.items() if getattr(case, backend.name)}


def test_an_id_and_a_key_are_the_same_text_everywhere(backend: Backend) -> None:
    cases = {name: (expression, case) for name, (expression, case) in of(backend).items() if case.text is not None}
    found = {}
    for name, (expression, _) in cases.items():
        sql = f"SELECT {expression} AS conversion_id, 1795467600123 AS occurred_at, {expression} AS identity_key"
        (record,) = backend.records(sql)
        found[name] = record["conversion_id"], record["identity_key"], record["reason"]
    assert found == {
        name: (case.text, case.text, "invalid_conversion_id" if case.text in ("true", "false") else "unknown_user")
        for name, (_, case) in cases.items()
    }


def test_what_is_no_id_is_rejected_everywhere_and_what_lost_its_digits_with_the_cast(backend: Backend) -> None:
    for expression, case in (pair for pair in of(backend).values() if pair[1].text is None):
        (record,) = backend.records(f"SELECT {expression} AS conversion_id, 1795467600123 AS occurred_at, 'k1' AS identity_key")
        (by_key,) = backend.records(f"SELECT 'S-1' AS conversion_id, 1795467600123 AS occurred_at, {expression} AS identity_key")
        assert (record["state"], by_key["state"]) == ("rejected", "rejected"), expression
        reason = "missing_conversion_id" if case.lost is None else "invalid_conversion_id"
        assert (record["reason"], by_key["reason"]) == (reason, "missing_identity"), expression
        assert (case.lost or "").replace("column", "conversion_id") in (record["detail"] or ""), expression
        assert (case.lost or "").replace("column", "identity_key") in (by_key["detail"] or ""), expression


def test_the_columns_of_known_users_are_the_same_text_everywhere(backend: Backend) -> None:
    cases = {name: (expression, case) for name, (expression, case) in of(backend).items() if case.text is not None}
    found = {}
    for name, (expression, _) in cases.items():
        sql = f"SELECT 'k1' AS identity_key, {expression} AS user_domain, {expression} AS user_id, NULL AS identified_at"
        chunks: list[dict[str, pd.Series]] = []
        backend.warehouse.read(sql, {}, backend.users(sql).columns, chunks.append)
        (user,) = known_users_frame(chunks).to_dict("records")
        found[name] = user["user_domain"], user["user_id"]
    assert found == {name: (case.text, case.text) for name, (_, case) in cases.items()}


HEXADECIMAL = {
    "postgres": "'\\x00ff'::bytea", "sqlite": "x'00ff'", "duckdb": "'\\x00\\xFF'::blob", "mariadb": "x'00ff'"
}  # fmt: skip


def test_bytes_are_hexadecimal_everywhere(backend: Backend) -> None:
    value = HEXADECIMAL[backend.name]
    (record,) = backend.records(f"SELECT {value} AS conversion_id, 1795467600123 AS occurred_at, {value} AS identity_key")
    assert (record["conversion_id"], record["identity_key"]) == ("00ff", "00ff")


REFUSED = {
    "postgres": ["now()", "localtimestamp", "localtime", "interval '1 day'", "1::money", "ARRAY[1]", "ARRAY['a']"],
    "sqlite": [],
    "duckdb": ["now()", "localtimestamp", "time '10\\:00'", "interval 1 day", "[1]", "row(1)", "timestamp_ns '2026-01-01'"],
    "mariadb": ["now()", "CAST(1 AS float)", "CAST('10:00' AS time)"],
}


def test_a_type_whose_text_differs_is_refused_in_plan_with_the_column_and_the_cast(backend: Backend) -> None:
    for expression in REFUSED[backend.name]:
        sql = f"SELECT {expression} AS conversion_id, 1795467600123 AS occurred_at, 'k1' AS identity_key"
        with pytest.raises(Unusable, match=r"source sales returns conversion_id as .*return CAST\(conversion_id AS text\)"):
            backend.records(sql)
        sql = f"SELECT 'k1' AS identity_key, 'crm' AS user_domain, {expression} AS user_id, NULL AS identified_at"
        with pytest.raises(Unusable, match=r"known_users returns user_id as .*return CAST\(user_id AS text\)"):
            backend.users(sql)


@pytest.mark.parametrize("name", ["postgres", "duckdb"])
def test_a_column_that_is_clearly_no_time_is_refused_in_plan(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    backend = _duckdb(tmp_path / "shop") if name == "duckdb" else _postgres(request.getfixturevalue("postgres"))
    for expression in ["true", "interval '1 day'", "'00000000-0000-0000-0000-0000000000AB'::uuid"]:
        with pytest.raises(Unusable, match=r"known_users returns identified_at as (?i:boolean|interval|uuid), which is no time"):
            backend.users(f"SELECT 'k1' AS identity_key, 'crm' AS user_domain, 'u1' AS user_id, {expression} AS identified_at")
        with pytest.raises(Unusable, match=r"source sales returns occurred_at as (?i:boolean|interval|uuid), which is no time"):
            backend.records(f"SELECT 'o1' AS conversion_id, {expression} AS occurred_at, 'k1' AS identity_key")


def test_a_column_that_does_not_hold_the_second_is_refused_in_plan_as_the_moment_of_a_conversion(backend: Backend) -> None:
    """Of an epoch in seconds, single precision holds every 128th; a date holds none. Of a user, a date is the first moment."""
    expressions = {
        "postgres": ["1795467600.123::real", "'2026-11-23'::date"],
        "duckdb": ["1795467600.123::float", "'2026-11-23'::date"],
        "mariadb": ["CAST(1795467600.123 AS float)", "CAST('2026-11-23' AS date)"],
        "sqlite": [],
    }
    for expression in expressions[backend.name]:
        with pytest.raises(
            Unusable, match=r"returns occurred_at as (?i:real|float|date), which is no time to the second: return"
        ):
            backend.records(f"SELECT 'o1' AS conversion_id, {expression} AS occurred_at, 'k1' AS identity_key")
        backend.users(f"SELECT 'k1' AS identity_key, 'crm' AS user_domain, 'u1' AS user_id, {expression} AS identified_at")


@pytest.mark.parametrize("name", ["postgres", "duckdb"])
def test_bytes_that_known_users_would_compare_with_text_are_refused(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    backend = _duckdb(tmp_path / "shop") if name == "duckdb" else _postgres(request.getfixturevalue("postgres"))
    with pytest.raises(Unusable, match=r"returns identity_key as (bytea|BLOB), .*bytes in hexadecimal"):
        backend.users(f"SELECT {HEXADECIMAL[name]} AS identity_key, 'crm' AS user_domain, 'u1' AS user_id, NULL AS identified_at")


@pytest.mark.parametrize(
    ("type_", "given", "key"),
    [
        ("double precision", "1234567890123456", "1234567890123456"),
        ("real", "16777215", "16777215"),
        ("char(12)", "'abc'", "abc"),
        ("numeric(12, 3)", "1.5", "1.5"),
        ("uuid", "'00000000-0000-0000-0000-0000000000ab'", "00000000-0000-0000-0000-0000000000ab"),
        ("bigint", "7", "7"),
        ("text", "'abc'", "abc"),
    ],
)
def test_a_key_of_any_type_meets_its_user_whatever_else_is_asked_for(backend: Backend, type_: str, given: str, key: str) -> None:
    if backend.name != "postgres" and type_ in ("real", "char(12)", "uuid", "numeric(12, 3)"):
        return  # compared as the database compares; see docs/configuration.md
    backend.execute(f"CREATE TABLE people (identity_key {type_}, user_domain varchar(9), user_id varchar(9), identified_at date)")
    backend.execute(f"INSERT INTO people VALUES ({given}, 'crm', 'u1', '2026-01-01')")
    column = (
        "identity_key"
        if backend.name == "postgres" or type_ == "text"
        else f"CAST(identity_key AS {'decimal(30)' if backend.name != 'sqlite' else 'integer'})"
    )
    column = column if column == "identity_key" else f"CAST({column} AS {'char' if backend.name == 'mariadb' else 'text'})"
    users = backend.users(f"SELECT * FROM people WHERE {column} IN :identity_keys")
    keys = [key, "abcd", "x" * 400, "9" * 400, "1e400", "0." + "0" * 390 + "1", "-1", "½", "Łódź"]
    conversions = pd.DataFrame({"id": range(len(keys)), "identity_key": keys, "action_timestamp_ms": 1_795_467_600_123})
    assert users.of(conversions)[["id", "user_id"]].values.tolist() == [[0, "u1"]]


# Times, on servers whose zone is not UTC

MOMENT = datetime(2026, 11, 23, 21, 0, 0, 123000, tzinfo=UTC)
MOMENT_MS = 1_795_467_600_123

AWARE_TEXTS = [
    "2026-11-23T21:00:00.123Z", "2026-11-23T22:00:00.123+01:00", "2026-11-23 22:00:00.123+01", "2026-11-23 21:00:00.123 UTC",
    "20261123T210000.123Z", "2026-11-23T21:00:00,123Z", "2026-11-23t21:00:00.123z", "2026-11-23 16:00:00.123-0500",
]  # fmt: skip
LOCAL_TEXTS = ["2026-11-23T16:00:00.123", "2026-11-23 16:00:00.123", "20261123T160000.123", "2026-11-23 16:00:00,123"]


def at(backend: Backend, expression: str, kind: TimestampKind, zone: str | None = None) -> int | None:
    sql = f"SELECT 'o1' AS conversion_id, {expression} AS occurred_at, 'k1' AS identity_key"
    (record,) = backend.records(sql, kind, zone)
    moment: int | None = record["action_timestamp_ms"]
    assert record["reason"] == "unknown_user", record["detail"]
    return moment


def quoted(text: str) -> str:
    return "'" + text.replace(":", "\\:") + "'"


def test_every_text_of_a_moment_is_the_same_moment_whatever_the_server_s_zone(backend: Backend) -> None:
    for text in AWARE_TEXTS:
        assert at(backend, quoted(text), TimestampKind.AWARE) == MOMENT_MS
    for text in LOCAL_TEXTS:
        assert at(backend, quoted(text), TimestampKind.LOCAL, "America/New_York") == MOMENT_MS
    assert at(backend, "'1795467600.123'", TimestampKind.EPOCH_SECONDS) == MOMENT_MS
    assert at(backend, "1795467600123", TimestampKind.EPOCH_MILLISECONDS) == MOMENT_MS


COLUMNS = {
    "postgres": [("timestamptz", "aware", None), ("timestamp", "local", "UTC")],
    "sqlite": [("text", "local", "UTC")],
    "duckdb": [("timestamptz", "aware", None), ("timestamp", "local", "UTC"), ("timestamp_ms", "local", "UTC")],
    "mariadb": [("timestamp(6)", "local", "UTC"), ("datetime(6)", "local", "UTC")],
}
"""The types of each database for a moment, the kind and the zone under which they are read."""

INSERTED = {
    "timestamptz": "'2026-11-23 22:00:00.123+01'",
    "timestamp(6)": "FROM_UNIXTIME(1795467600.123)",
}


def test_a_column_of_every_type_is_the_same_moment_whatever_the_server_s_zone(backend: Backend) -> None:
    for number, (type_, kind, zone) in enumerate(COLUMNS[backend.name]):
        backend.execute(f"CREATE TABLE t{number} (occurred_at {type_} NULL)")
        backend.execute(
            f"INSERT INTO t{number} VALUES ({INSERTED.get(type_, quoted('2026-11-23 21:00:00.123').replace(chr(92), ''))})"
        )
        sql = f"SELECT 'o1' AS conversion_id, occurred_at, 'k1' AS identity_key FROM t{number}"
        (record,) = backend.records(sql, TimestampKind(kind), zone)
        assert (record["action_timestamp_ms"], record["reason"]) == (MOMENT_MS, "unknown_user"), type_
        frame = known_users_frame([_twice(backend, f"t{number}")])
        assert frame["identified_at"].tolist() == [MOMENT_MS, MOMENT_MS], type_


def _twice(backend: Backend, table: str) -> dict[str, pd.Series]:
    sql = f"SELECT 'k1' AS identity_key, 'crm' AS user_domain, u AS user_id, occurred_at AS identified_at FROM {table}, (SELECT 'a' AS u UNION SELECT 'b') us"
    chunks: list[dict[str, pd.Series]] = []
    backend.warehouse.read(sql, {}, backend.users(sql).columns, chunks.append)
    (chunk,) = chunks
    return chunk


def test_the_window_is_compared_in_utc_whatever_the_server_s_zone(backend: Backend) -> None:
    type_ = {"postgres": "timestamptz", "duckdb": "timestamptz", "mariadb": "timestamp(6)"}.get(backend.name, "text")
    kind = TimestampKind.LOCAL if backend.name == "mariadb" else TimestampKind.AWARE
    backend.execute(f"CREATE TABLE sales (occurred_at {type_} NULL)")
    for moment in (NOW - timedelta(milliseconds=1), NOW, NOW - timedelta(hours=48), NOW - timedelta(hours=48, milliseconds=1)):
        text = f"FROM_UNIXTIME({moment.timestamp():.3f})" if backend.name == "mariadb" else f"'{moment.isoformat()}'"
        backend.execute(f"INSERT INTO sales VALUES ({text})")
    compared = "julianday({0})" if backend.name == "sqlite" else "{0}"
    first, start, end = (compared.format(name) for name in ("occurred_at", ":window_start", ":window_end"))
    sql = f"SELECT CAST(occurred_at AS char(30)) AS conversion_id, occurred_at, 'k1' AS identity_key FROM sales WHERE {first} >= {start} AND {first} < {end}"
    moments = {record["action_timestamp_ms"] for record in backend.records(sql, kind, "UTC")}
    assert moments == {to_milliseconds(NOW - timedelta(milliseconds=1)), to_milliseconds(NOW - timedelta(hours=48))}


def test_a_timestamp_of_mariadb_under_another_zone_than_utc_is_refused_in_plan(request: pytest.FixtureRequest) -> None:
    backend = _mariadb(request.getfixturevalue("mariadb"))
    backend.execute("CREATE TABLE sales (occurred_at timestamp(6) NULL, clock datetime)")
    sql = "SELECT 'o1' AS conversion_id, {} AS occurred_at, 'k1' AS identity_key FROM sales"
    with pytest.raises(
        Unusable, match=r"returns occurred_at as TIMESTAMP, which is read in UTC: .*\{kind: local, timezone: UTC\}"
    ):
        backend.records(sql.format("occurred_at"), TimestampKind.LOCAL, "America/New_York")
    assert backend.records(sql.format("occurred_at"), TimestampKind.LOCAL, "UTC") == []
    assert backend.records(sql.format("clock"), TimestampKind.LOCAL, "America/New_York") == []


# One bad row


def test_a_moment_out_of_range_stops_its_row_alone(backend: Backend) -> None:
    type_, bad = {
        "postgres": ("timestamptz", ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'290000-01-01'"]),
        "sqlite": ("datetime", ["'infinity'", "'0000-00-00'", "x'ff'", "''"]),
        "duckdb": (
            "timestamptz",
            ["'infinity'", "'-infinity'", "'0044-03-15 (BC) 00:00:00+00'", "make_timestamptz(290000, 1, 1, 0, 0, 0)"],
        ),
        "mariadb": ("datetime(3)", ["'0000-00-00'", "'2026-02-00'", "NULL"]),
    }[backend.name]
    backend.execute(f"CREATE TABLE sales (n integer, occurred_at {type_})")
    good = "'2026-11-23 21:00:00.123'" if backend.name in ("mariadb", "sqlite") else "'2026-11-23 21:00:00.123+00'"
    for number, value in enumerate([good, *bad, good]):
        backend.execute(f"INSERT INTO sales VALUES ({number}, {value})")
    kind = TimestampKind.LOCAL if backend.name in ("mariadb", "sqlite") else TimestampKind.AWARE
    records = backend.records("SELECT n AS conversion_id, occurred_at, 'k1' AS identity_key FROM sales ORDER BY n", kind, "UTC")
    assert [record["state"] for record in records] == ["held", *["rejected"] * len(bad), "held"]
    assert {record["reason"] for record in records[1:-1]} <= {"invalid_timestamp", "missing_timestamp"}


@pytest.mark.parametrize("end", ["infinity", "-infinity"])
def test_the_end_of_time_is_no_moment_in_duckdb(tmp_path: Path, end: str) -> None:
    backend = _duckdb(tmp_path / "shop")
    sql = f"SELECT 'o1' AS conversion_id, timestamp '{end}' AS occurred_at, 'k1' AS identity_key"
    (record,) = backend.records(sql, TimestampKind.LOCAL, "UTC")
    assert (record["reason"], record["detail"]) == ("invalid_timestamp", f"occurred_at = {end}")
    sql = f"SELECT 'k1' AS identity_key, 'crm' AS user_domain, user_id, date '{end}' AS identified_at FROM (VALUES ('a'), ('b')) users(user_id)"
    chunks: list[dict[str, pd.Series]] = []
    backend.warehouse.read(sql, {}, backend.users(sql).columns, chunks.append)
    assert known_users_frame(chunks)["identified_at"].isna().all()


def test_text_that_is_no_utf_8_stops_its_row_alone_in_sqlite(tmp_path: Path) -> None:
    backend = _sqlite(tmp_path / "shop")
    backend.execute("CREATE TABLE sales (conversion_id text, identity_key text, event_name text)")
    backend.execute(
        "INSERT INTO sales VALUES ('good', 'k1', 'sale'), (CAST(x'6361ff' AS text), 'k1', 'sale'), ('a', CAST(x'6361ff' AS text), 'sale'), ('b', 'k1', CAST(x'6361ff' AS text)), ('last', 'Łódź', 'sale')"
    )
    records = backend.records("SELECT *, 1795467600123 AS occurred_at FROM sales")
    assert [(record["conversion_id"], record["reason"]) for record in records] == [
        ("good", "unknown_user"),
        ("ca\ufffd", "invalid_conversion_id"),
        ("a", "missing_identity"),
        ("b", "invalid_event_name"),
        ("last", "unknown_user"),
    ]
    assert records[-1]["identity_key"] == "Łódź"


def test_text_of_any_character_set_is_text_in_mariadb(request: pytest.FixtureRequest) -> None:
    backend = _mariadb(request.getfixturevalue("mariadb"))
    backend.execute("CREATE TABLE sales (n integer, a varchar(20) CHARACTER SET latin1, b varchar(20) CHARACTER SET utf8mb4)")
    backend.execute("INSERT INTO sales VALUES (1, 'Zoë', 'Łódź'), (2, x'80', x'f09f92a5')")
    records = backend.records("SELECT a AS conversion_id, 1795467600123 AS occurred_at, b AS identity_key FROM sales ORDER BY n")
    assert [(record["conversion_id"], record["identity_key"]) for record in records] == [("Zoë", "Łódź"), ("€", "💥")]


FAILING = {
    "postgres": "SELECT 'o' || g AS conversion_id, 1795467600123 / (2500 - g) AS occurred_at, 'key-of-somebody' AS identity_key FROM generate_series(1, 3000) g",
    "sqlite": "WITH RECURSIVE n(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM n WHERE g < 3000) SELECT 'o' || g AS conversion_id, json(CASE g WHEN 2500 THEN 'x' ELSE 1795467600123 END) AS occurred_at, 'key-of-somebody' AS identity_key FROM n",
}  # fmt: skip


def test_a_failure_at_a_row_says_how_far_the_query_was_read_and_the_log_names_the_last_conversion_and_no_key(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for backend, place, last in [
        (_postgres(request.getfixturevalue("postgres")), "after 2,499 rows.", "o2499"),
        (_sqlite(tmp_path / "shop"), "after 2,000 rows.", "o2000"),
    ]:
        with pytest.raises(Exception, match=re.escape(place)) as raised:
            backend.records(FAILING[backend.name])
        assert last not in str(raised.value)
        assert f"has the conversion_id {last}" in caplog.text
        assert "key-of-somebody" not in f"{raised.value} {caplog.text}"


def test_an_address_is_not_named_where_a_query_fails(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> None:
    backend = _postgres(request.getfixturevalue("postgres"))
    with pytest.raises(Unusable, match=r"division by zero \(SQLSTATE 22012\), after 2,499 rows\. Run the query by hand"):
        backend.records(FAILING["postgres"].replace("'o' || g", "'ada@example.com'"))
    assert "ada@example.com" not in caplog.text


def test_a_value_that_the_driver_cannot_read_is_one_sentence(tmp_path: Path) -> None:
    backend = _duckdb(tmp_path / "shop")
    sql = "SELECT 'o1' AS conversion_id, 1 AS occurred_at, 'k1' AS identity_key, interval 100000000 year AS value"
    with pytest.raises(
        Unusable,
        match=r"The driver of the warehouse .* cannot read a value of the query of source sales \(OverflowError\): return",
    ):
        backend.records(sql)
