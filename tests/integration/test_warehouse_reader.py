"""What the reader makes of a PostgreSQL warehouse: types, encodings, keys, failures."""

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from demo.postgres import PostgresServer
from tests.night import NOW, PEOPLE, Night
from webflow_conversions.errors import Unavailable, Unusable
from webflow_conversions.ledger.extraction import Extraction
from webflow_conversions.pipeline.extraction import extract
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.warehouse.reader import CHUNK_ROWS, Warehouse


def engine(connect: Callable[[], Any]) -> sa.Engine:
    return sa.create_engine("postgresql+psycopg2://", creator=connect, poolclass=sa.NullPool)


def read(
    warehouse: Warehouse, sql: str, parameters: dict[str, Any] | None = None, chunk_rows: int = CHUNK_ROWS
) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    columns, rows = warehouse.columns(sql, parameters or {}), []

    def handle(chunk: dict[str, Any]) -> None:
        assert all(list(column.index) == list(range(len(column))) and column.dtype == object for column in chunk.values())
        rows.extend(zip(*(chunk[name].tolist() for name in columns), strict=True))

    warehouse.read(sql, parameters or {}, columns, handle, chunk_rows)
    return rows


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("123::numeric(12, 2)", "123"),
        ("-1.50::numeric(12, 4)", "-1.5"),
        ("100::numeric", "100"),
        ("0::numeric(5, 2)", "0"),
        ("1e30::numeric", "1000000000000000000000000000000"),
        ("NULL::numeric", None),
        ("'123.00'::text", "123.00"),
        ("123::bigint", "123"),
        ("'\\N'::text", "\\N"),
        ("E'a\\tb\\nc\\rd\\\\e\\bf\\fg\\x0bh'::text", "a\tb\nc\rd\\e\bf\fg\vh"),
        ("''::text", ""),
        ("'12 % %s %(x)s :y ''quoted''\\:z'::text", "12 % %s %(x)s :y 'quoted':z"),
    ],
)
def test_every_value_arrives_as_text_to_the_letter_and_a_numeric_without_zeros_at_its_end(
    night: Night, expression: str, text: str
) -> None:
    assert read(night.warehouse, f"SELECT {expression.replace(':y', chr(92) + ':y')} AS a, 1 AS b") == [(text, "1")]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("123::double precision", 123.0),
        ("1234567890123456::double precision", 1234567890123456.0),
        ("0.1::real", np.float32(0.1)),
        ("'Infinity'::numeric", Decimal("Infinity")),
        ("true", True),
        ("false", False),
        ("'\\xC3a9'::bytea", "c3a9"),
        ("'\\x'::bytea", ""),
        ("E'a\\tb'::char(7)", "a\tb"),
        ("'1.50'::jsonb", Decimal("1.50")),
        ("'\"a\\tb\"'::json", "a\tb"),
        ("'null'::json", None),
        ("('[' || repeat('1', 5000) || ']')::json", "[" + "1" * 5000 + "]"),
        ("repeat('[', 5000) || repeat(']', 5000)", "[" * 5000 + "]" * 5000),
    ],
)
def test_a_value_whose_text_is_postgresql_s_own_arrives_as_what_it_is(night: Night, expression: str, value: Any) -> None:
    (found,) = read(night.warehouse, f"SELECT {expression} AS a, E'\\t' AS b UNION ALL SELECT NULL, NULL ORDER BY b LIMIT 1")
    assert (found[0], type(found[0])) == (value, type(value))


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 8, 14, 20])
def test_chunks_are_full_but_for_the_last_and_none_is_empty(night: Night, rows: int) -> None:
    sizes: list[int] = []
    sql = f"SELECT g AS a FROM generate_series(1, {rows}) g"
    night.warehouse.read(sql, {}, ["a"], lambda chunk: sizes.append(len(chunk["a"])), 7)
    assert sum(sizes) == rows
    assert sizes == [7] * (rows // 7) + ([rows % 7] if rows % 7 else [])


def test_only_the_parameters_that_a_query_names_are_given_to_it(night: Night) -> None:
    assert read(
        night.warehouse,
        "SELECT :window_start = '2026-11-23 22:00+00'::timestamptz AS a",
        {"window_start": NOW, "window_end": NOW},
    ) == [(True,)]


def test_a_query_may_end_in_a_comment_and_begin_with_a_common_table_expression(night: Night) -> None:
    assert read(night.warehouse, "WITH t AS (SELECT 7 AS a) SELECT * FROM t -- that's all: folks") == [("7",)]


def test_a_query_cannot_change_the_warehouse(night: Night) -> None:
    night.sql("CREATE FUNCTION spoil() RETURNS int LANGUAGE sql AS 'INSERT INTO people VALUES (1, 2, 3, now()) RETURNING 1'")
    with pytest.raises(Unusable, match=r"refuses the query: cannot execute INSERT in a read-only transaction"):
        night.warehouse.read("SELECT spoil() AS a", {}, ["a"], print)


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_a_warehouse_in_another_encoding_gives_the_same_text(postgres: PostgresServer, encoding: str) -> None:
    text = "日本語" if encoding == "EUC_JP" else "Zoë & Müller"
    connect = database_in(postgres, encoding)
    with closing(connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT %s::text AS a", (text,))
    warehouse = Warehouse(engine(connect), "warehouse")
    assert read(warehouse, "SELECT a FROM t") == [(text,)]
    assert read(warehouse, "SELECT a FROM t WHERE a IN :identity_keys", {"identity_keys": [text, "x"]}) == [(text,)]


@pytest.mark.parametrize(
    ("encoding", "broken", "text"),
    [("SQL_ASCII", r"convert_from('\x63e9'::bytea, 'SQL_ASCII')", "Łódź-1"), ("WIN1252", "'c' || chr(129)", "Zoë-1")],
)
def test_bytes_that_are_no_text_stop_their_row_alone(
    postgres: PostgresServer, night: Night, encoding: str, broken: str, text: str
) -> None:
    connect = database_in(postgres, encoding)
    with closing(connect()) as connection, connection, connection.cursor() as cursor:
        connection.set_client_encoding("UTF8")
        cursor.execute("CREATE TABLE sales (n serial, conversion_id text, identity_key text, event_name text)")
        cursor.execute("CREATE TABLE people (identity_key text, user_domain text, user_id text, identified_at date)")
        for values in (
            "%(text)s, %(text)s, 'sale'",
            f"{broken}, 'k1', 'sale'",
            f"'a', {broken}, 'sale'",
            f"'b', 'k1', {broken}",
            "'last', 'k1', 'sale'",
        ):
            cursor.execute(f"INSERT INTO sales (conversion_id, identity_key, event_name) VALUES ({values})", {"text": text})
        cursor.execute(
            f"INSERT INTO people VALUES (%(text)s, 'crm', %(text)s, NULL), ('k1', 'crm', {broken}, NULL), ({broken}, 'crm', 'u3', NULL)",
            {"text": text},
        )
    night.sales_sql = "SELECT *, timestamptz '2026-11-23 21:00+00' AS occurred_at FROM sales ORDER BY n"
    elsewhere = Warehouse(engine(connect), "warehouse")
    run = night.begin()
    source = SourceQuery(warehouse=elsewhere, name="sales", sql=night.sales_sql, window=run.window)
    users = KnownUsers(warehouse=elsewhere, sql=PEOPLE, personal_data=PersonalData.REJECT)
    extract(run, night.rules, source, users, Extraction(night.session, run, night.rules, "digest"), night.clock.now)
    assert night.states() == {
        text: ("ready", None),
        "c\ufffd": ("rejected", "invalid_conversion_id"),
        "a": ("rejected", "missing_identity"),
        "b": ("rejected", "invalid_event_name"),
        "last": ("rejected", "invalid_user"),
    }
    assert night.row(text).user_id == text


def test_a_key_that_the_encoding_of_the_warehouse_cannot_write_is_not_known_there(postgres: PostgresServer) -> None:
    warehouse = Warehouse(engine(database_in(postgres, "LATIN1")), "warehouse")
    sql = "SELECT 'k1' AS a WHERE 'k1' IN :identity_keys"
    for keys, found in ((["Łódź", "k1"], ["k1"]), (["Łódź"], [])):
        seen: list[str] = []
        warehouse.read(sql, {"identity_keys": keys}, ["a"], lambda chunk, seen=seen: seen.extend(chunk["a"]))
        assert seen == found
    with pytest.raises(Unusable, match=r'refuses the query: character .* has no equivalent in encoding "LATIN1"'):
        read(warehouse, "SELECT 'Łódź' AS a")


def database_in(postgres: PostgresServer, encoding: str) -> Callable[[], Any]:
    name = f"in_{encoding.lower()}"
    with closing(postgres.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    return partial(postgres.connect, name)


# Keys


KEYS = ["72349876", "007", "-1", "9223372036854775807", "9223372036854775808", "32768", "1.5", "1e3", "abc", "", " 7", "+7", "½", "7' OR 'a'='a",
        "00000000-0000-0000-0000-000000000007", "0" * 40]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "known"),
    [
        ("text", KEYS),
        ("varchar", KEYS),
        ("bigint", ["72349876", "-1", "9223372036854775807", "32768"]),
        ("integer", ["72349876", "-1", "32768"]),
        ("smallint", ["-1"]),
        ("numeric", ["72349876", "-1", "9223372036854775807", "9223372036854775808", "32768", "1.5"]),
        ("numeric(30, 4)", ["72349876", "-1", "9223372036854775807", "9223372036854775808", "32768", "1.5"]),
        ("uuid", ["00000000-0000-0000-0000-000000000007"]),
    ],
)
def test_keys_of_every_type_are_asked_for_without_a_cast_and_junk_among_them_harms_nobody(
    night: Night, type_: str, known: Sequence[str]
) -> None:
    night.sql(
        f"DROP TABLE people; CREATE TABLE people (identity_key {type_}, user_domain text, user_id text, identified_at timestamptz)"
    )
    for key in known:
        night.sql("INSERT INTO people VALUES (%s, 'crm', 'user ' || %s, %s)", key, key, NOW)
    for key in KEYS:
        night.sale(f"sale {key}", key=key)
    night.read()
    found = {row.identity_key: row.user_id for row in night.rows().values() if row.state == "ready"}
    assert found == {key: f"user {key}" for key in known if key.strip()}


def test_a_query_that_casts_its_numbers_only_in_the_select_is_told_what_to_write(night: Night) -> None:
    night.sql(
        "DROP TABLE people; CREATE TABLE people (identity_key bigint, user_domain text, user_id text, identified_at timestamptz)"
    )
    sql = "SELECT identity_key::text, user_domain, user_id, identified_at FROM people WHERE identity_key IN :identity_keys"
    with pytest.raises(
        Unusable, match=r"returns identity_key as text, and compares .* compare CAST\(… AS text\) with :identity_keys"
    ):
        KnownUsers(warehouse=night.warehouse, sql=sql, personal_data=PersonalData.REJECT).check()


def test_only_the_users_behind_the_keys_at_hand_are_read_each_once(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webflow_conversions.warehouse.reader.KEYS_PER_QUERY", {"postgresql": 1_000})
    night.sql("INSERT INTO people SELECT 'k' || g, 'crm', 'u' || g, %s FROM generate_series(1, 20000) g", NOW)
    asked: list[int] = []
    read_rows: list[int] = []
    original = Warehouse.read

    def count(
        self: Warehouse, sql: str, parameters: dict[str, Any], columns: Sequence[str], handle: Callable[[Any], None]
    ) -> None:
        asked.append(len(parameters["identity_keys"]))
        original(self, sql, parameters, columns, lambda chunk: (read_rows.append(len(chunk["user_id"])), handle(chunk)))

    monkeypatch.setattr(Warehouse, "read", count)
    keys = [f"k{number}" for number in range(1, 2_501)]
    conversions = pd.DataFrame({"id": range(5_000), "identity_key": keys * 2, "action_timestamp_ms": 1})
    chosen = night.users.of(conversions)
    assert (asked, sum(read_rows)) == ([1_000, 1_000, 500], 2_500)
    assert chosen["user_id"].tolist() == [f"u{number}" for number in range(1, 2_501)] * 2


# Failures


def test_a_server_that_goes_away_while_it_is_read_is_unavailable_not_unusable(night: Night) -> None:
    sql = "SELECT g AS a, pg_terminate_backend(pg_backend_pid()) AS b FROM generate_series(1, 3) g"
    with pytest.raises(Unavailable, match=r"The warehouse \(connection warehouse\) went away: "):
        night.warehouse.read(sql, {}, ["a", "b"], print)


def told(error: BaseException) -> str:
    """What a traceback would say of an error, and of those behind it."""
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error} {told(behind) if behind else ''}"


@pytest.mark.parametrize(
    "code", ["P0001", "45000", "23514", "42703", "57014", "53400", "58000", "38000", "HV000", "XX000", "22012"]
)
def test_what_a_function_of_the_warehouse_says_is_not_told_whatever_code_it_gives(night: Night, code: str) -> None:
    night.sql(
        f"""
        CREATE FUNCTION checked(name text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no zone: %', name USING ERRCODE = '{code}', HINT = 'Perhaps you meant ' || name; END $$
        """
    )
    with pytest.raises(
        (Unusable, Unavailable), match=rf"an error whose words may hold values of rows \(SQLSTATE {code}\)"
    ) as raised:
        night.warehouse.read("SELECT checked('Anna ' || 'Lopez') AS a", {}, ["a"], print)
    assert "Anna" not in told(raised.value)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("(t || chr(34) || '1')::integer", "type integer"),
        ("(t || E'\\n1')::date", "type date"),
        ("(t || '''')::uuid", "type uuid"),
        ("('{' || t)::json", "type json"),
        ("(t || '1')::inet", "type inet"),
        ("('x' || length(t))::numeric", "type numeric"),
        ("(power(10, 20 + length(t)))::integer", "out of range"),
        ("12345.678::numeric(4, 2) + length(t)", "field overflow"),
        ("to_date(t, 'YYYY')", "invalid value"),
        ("regexp_replace(t, t || '(', '')", "regular expression"),
        ("convert_from(t::bytea || '\\xe4'::bytea, 'UTF8')", 'encoding "UTF8"'),
        ("('{' || t)::text[]::text", "malformed array literal"),
        ("(SELECT g::text FROM generate_series(1, 2) g)", "more than one row"),
        ("query_to_xml('SELECT 1/' || (length(t) - length(t)), false, false, '')::text", "division by zero"),
    ],
)
def test_a_value_that_postgresql_refuses_is_told_by_its_kind_alone(night: Night, expression: str, kind: str) -> None:
    night.sql("CREATE TABLE named AS SELECT 'Anna O''Lopez 1'::text AS t")
    with pytest.raises(Unusable) as raised:
        night.warehouse.read(f"SELECT {expression} AS a FROM named", {}, ["a"], print)
    assert re.search("Anna|Lopez", told(raised.value)) is None
    assert kind in str(raised.value)
    assert "SQLSTATE" in str(raised.value)


def test_what_goes_wrong_with_a_chunk_is_not_taken_for_the_warehouse_s_fault(night: Night) -> None:
    def handle(chunk: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        night.warehouse.read("SELECT 1 AS a FROM generate_series(1, 10)", {}, ["a"], handle, 3)
