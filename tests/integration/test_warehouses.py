"""Every warehouse that can be run here gives the same conversions: PostgreSQL by COPY, SQLite and DuckDB over SQLAlchemy.

Each is reached through an Airflow connection of its own type, as the tasks reach it.
"""

import json
import logging
import re
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psutil
import pytest
import sqlalchemy as sa

from demo.simulator import SimulatorProcess
from tests.night import NOW, PEOPLE, RULES, Night
from webflow_conversions.errors import Unavailable, Unusable
from webflow_conversions.hooks.connections import warehouse
from webflow_conversions.pipeline.warehouse import KnownUsers
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.rules.source import TimestampKind
from webflow_conversions.warehouse.reader import Warehouse

SALE_NUMBERS = 2**53 + 1
"""An integer that a float does not hold."""

MOMENT_MS = 1_795_467_600_123
"""2026-11-23 21:00:00.1239 UTC, floored: an hour before the night."""


@dataclass(frozen=True)
class Kind:
    """A warehouse: its column types, how a moment is written into each, and how its SQL compares with the window."""

    conn_type: str
    types: dict[str, str]
    moments: dict[str, str]
    in_window: str


KINDS = {
    "postgres": Kind(
        conn_type="postgres",
        types={
            "local": "timestamp", "aware": "timestamptz", "epoch_seconds": "double precision", "epoch_milliseconds": "bigint",
            "number": "bigint", "money": "numeric(12, 3)",
        },
        moments={
            "local": "'2026-11-23 16:00:00.1239'", "aware": "'2026-11-23 22:00:00.1239+01'",
            "epoch_seconds": "1795467600.1239", "epoch_milliseconds": "1795467600123",
        },
        in_window="aware >= :window_start AND aware < :window_end",
    ),
    "sqlite": Kind(
        conn_type="sqlite",
        types={
            "local": "text", "aware": "text", "epoch_seconds": "real", "epoch_milliseconds": "integer",
            "number": "integer", "money": "text",
        },
        moments={
            "local": "'2026-11-23 16:00:00.1239'", "aware": "'2026-11-23T22:00:00.1239+01:00'",
            "epoch_seconds": "1795467600.1239", "epoch_milliseconds": "1795467600123",
        },
        in_window="julianday(aware) >= julianday(:window_start) AND julianday(aware) < julianday(:window_end)",
    ),
    "duckdb": Kind(
        conn_type="duckdb",
        types={
            "local": "timestamp", "aware": "timestamptz", "epoch_seconds": "double", "epoch_milliseconds": "bigint",
            "number": "bigint", "money": "decimal(12, 3)",
        },
        moments={
            "local": "'2026-11-23 16:00:00.1239'", "aware": "'2026-11-23 22:00:00.1239+01'",
            "epoch_seconds": "1795467600.1239", "epoch_milliseconds": "1795467600123",
        },
        in_window="aware >= :window_start AND aware < :window_end",
    ),
}  # fmt: skip


@dataclass
class Shop:
    """A warehouse with two tables, and the connection ``warehouse`` that leads to it."""

    kind: Kind
    execute: Callable[[str], None]

    def sale(self, number: int | None, *, key: str | None = "k1", money: str | None = "10.005", has_moments: bool = True) -> None:
        """One sale at :data:`MOMENT_MS`, its moment in a column of each kind."""
        moments = [moment if has_moments else "NULL" for moment in self.kind.moments.values()]
        self.execute(f"INSERT INTO sales VALUES ({', '.join([*moments, _sql(number), _sql(key), _sql(money)])})")

    def person(self, key: str, user_id: str) -> None:
        self.execute(f"INSERT INTO people VALUES ('{key}', 'crm', '{user_id}', {self.kind.moments['aware']})")


def _ignore(chunk: dict[str, Any]) -> None:
    """Nobody reads it."""


def _sql(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def _execute(kind: Kind, night: Night, file: Path) -> Callable[[str], Any]:
    """What runs a statement in the warehouse, as somebody who may write."""

    def in_sqlite(statement: str) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)

    def in_duckdb(statement: str) -> None:
        with duckdb.connect(file) as connection:
            connection.execute(statement)

    return {"postgres": night.sql, "sqlite": in_sqlite, "duckdb": in_duckdb}[kind.conn_type]


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    kind = KINDS[request.param]
    file = tmp_path / "shop"
    execute = _execute(kind, night, file)
    given: dict[str, Any] = {"conn_type": kind.conn_type}
    match kind.conn_type:
        case "postgres":
            server = night.connect.func.__self__
            given |= {"host": "127.0.0.1", "port": server.port, "login": "postgres", "schema": night.connect.args[0]}
            night.sql("DROP TABLE sales, people")
        case "sqlite":
            given |= {"host": str(file), "extra": {"mode": "ro"}}
        case _:
            given |= {"host": str(file), "extra": {"read_only": True}}
    types = kind.types
    columns = [f"{name} {types[name]}" for name in kind.moments]
    execute(f"CREATE TABLE sales ({', '.join(columns)}, number {types['number']}, card varchar(20), money {types['money']})")
    execute(
        f"CREATE TABLE people (identity_key varchar(20), user_domain varchar(20), user_id varchar(20), identified_at {types['aware']})"
    )
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(given))
    monkeypatch.setattr(Night, "warehouse", property(lambda _: warehouse("warehouse")))
    return Shop(kind=kind, execute=execute)


def reading(night: Night, shop: Shop, kind: TimestampKind) -> None:
    """Let the night's source be the shop's sales, with moments of this kind."""
    night.rules = replace(RULES, kind=kind, timezone="America/New_York" if kind is TimestampKind.LOCAL else None)
    night.sales_sql = (
        f"SELECT number AS conversion_id, {kind} AS occurred_at, card AS identity_key, money AS value FROM sales"
        f" WHERE aware IS NULL OR ({shop.kind.in_window})"
    )


@pytest.mark.parametrize("kind", TimestampKind)
def test_a_moment_of_each_kind_is_the_same_moment_in_every_warehouse(
    night: Night, shop: Shop, kind: TimestampKind, simulator: SimulatorProcess
) -> None:
    shop.person("k1", "72349876")
    shop.sale(SALE_NUMBERS)
    reading(night, shop, kind)
    night.push(night.read(), simulator.url)
    row = night.row(str(SALE_NUMBERS))
    assert (row.state, row.action_timestamp_ms, row.value, row.user_id) == ("accepted", MOMENT_MS, Decimal("10.01"), "72349876")
    (event,) = simulator.events()
    assert json.loads(event["body"])["actionTimestamp"] == MOMENT_MS


def test_nulls_are_reasons_in_every_warehouse(night: Night, shop: Shop) -> None:
    shop.person("k1", "u1")
    shop.sale(1, has_moments=False)
    shop.sale(None)
    shop.sale(3, key=None)
    shop.sale(4, money=None)
    shop.sale(5, key="nobody")
    reading(night, shop, TimestampKind.AWARE)
    tally = night.extract(night.begin())
    assert tally.read.rows == 5
    assert night.states() == {
        "1": ("rejected", "missing_timestamp"),
        None: ("rejected", "missing_conversion_id"),
        "3": ("rejected", "missing_identity"),
        "4": ("ready", None),
        "5": ("held", "unknown_user"),
    }
    assert night.row("4").value is None


def test_the_query_chooses_by_the_window_in_every_warehouse(night: Night, shop: Shop) -> None:
    shop.sale(1)
    reading(night, shop, TimestampKind.AWARE)
    night.clock.at = NOW + timedelta(hours=47)
    assert night.extract(night.begin("in time")).read == Amount(rows=1, value=Decimal("10.01"))
    night.clock.at += timedelta(seconds=1)
    assert night.extract(night.begin("too late")).read == Amount()


def test_more_identity_keys_than_a_query_may_hold_are_asked_for_in_several(night: Night, shop: Shop) -> None:
    source = warehouse("warehouse")
    shop.person("k0", "u0")
    shop.person("k2500", "u2500")
    night.rules = RULES
    keys = [f"k{number}" for number in range(source.keys_per_query + 1_501)]
    found: list[str] = []
    for first in range(0, len(keys), source.keys_per_query):
        some = keys[first : first + source.keys_per_query]
        source.read(PEOPLE, {"identity_keys": some}, ["identity_key"], lambda chunk: found.extend(chunk["identity_key"]))
    assert sorted(found) == ["k0", "k2500"]


def test_nothing_can_be_written_through_a_connection_that_reads_alone(shop: Shop) -> None:
    shop.sale(1)
    statement = "SELECT 1 AS one) source_rows; DELETE FROM sales; SELECT * FROM (SELECT 1 AS one"
    with pytest.raises(Unusable, match="has a second statement"):
        warehouse("warehouse").read(statement, {}, ["one"], _ignore)
    if shop.kind.conn_type != "postgres":  # there, each transaction is read-only
        with warehouse("warehouse")._engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match=r"read.?only"):
            connection.execute(sa.text("DELETE FROM sales"))
    seen: list[Any] = []
    warehouse("warehouse").read("SELECT number FROM sales", {}, ["number"], lambda chunk: seen.extend(chunk["number"]))
    assert [int(number) for number in seen] == [1]


def test_a_wrong_query_is_one_sentence_in_every_warehouse(shop: Shop) -> None:
    with pytest.raises(Unusable, match=r"The warehouse \(connection warehouse\) refuses the query: .*nope"):
        warehouse("warehouse").columns("SELECT nope FROM sales", {})


FAILING = {
    "postgres": "1 / (length(user_domain) - 3) > 0",
    "sqlite": "json(user_domain) IS NULL",
    "duckdb": "CAST(user_domain AS integer) > 0",
}
"""What a database accepts, and fails at for a user of domain ``crm``."""


def test_an_identity_key_is_nowhere_in_the_traceback_of_a_query_that_fails(shop: Shop) -> None:
    shop.person("key-of-somebody", "u1")
    users = KnownUsers(
        warehouse=warehouse("warehouse"),
        sql=f"{PEOPLE} AND {FAILING[shop.kind.conn_type]}",
        personal_data=PersonalData.REJECT,
    )
    conversions = pd.DataFrame({"id": [1], "identity_key": ["key-of-somebody"], "action_timestamp_ms": [MOMENT_MS]})
    with pytest.raises((Unusable, Unavailable)) as raised:
        users.of(conversions)
    assert "key-of-somebody" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("conn_type", ["sqlite", "duckdb"])
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conn_type: str) -> None:
    file = tmp_path / "nothing"
    extra = {"mode": "ro"} if conn_type == "sqlite" else {"read_only": True}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": conn_type, "host": str(file), "extra": extra}))
    with pytest.raises(Unavailable, match=r"The warehouse \(connection warehouse\) does not answer"):
        warehouse("warehouse").columns("SELECT 1 AS one", {})
    assert not file.exists()


@pytest.mark.parametrize(
    ("moment", "state"),
    [
        ("infinity", ("rejected", "invalid_timestamp")),
        ("-infinity", ("rejected", "invalid_timestamp")),
        ("9999-12-31 23:59:59+00", ("future", None)),
        ("0044-03-15 (BC) 00:00:00+00", ("rejected", "invalid_timestamp")),
    ],
)
def test_moments_far_away_get_a_state_and_crash_nothing_in_duckdb(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, state: tuple[str, str | None]
) -> None:
    file = tmp_path / "shop"
    with duckdb.connect(file) as connection:
        connection.execute(
            "CREATE TABLE sales AS SELECT 1 AS conversion_id, CAST(? AS timestamptz) AS occurred_at, 'k1' AS identity_key",
            [moment],
        )
        connection.execute("CREATE TABLE people (identity_key text, user_domain text, user_id text, identified_at timestamptz)")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(file)}))
    monkeypatch.setattr(Night, "warehouse", property(lambda _: warehouse("warehouse")))
    night.extract(night.begin())
    assert night.states() == {"1": state}


def test_a_driver_that_is_not_known_to_stream_is_named_in_the_log_with_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = sa.create_engine("sqlite://")
    monkeypatch.setattr(engine.dialect, "name", "hoarder")
    monkeypatch.setattr(engine.dialect, "driver", "hoard")
    with caplog.at_level(logging.WARNING):
        Warehouse(engine, "attic").read("SELECT 1 AS one", {}, ["one"], _ignore)
    (message,) = caplog.messages
    assert "hoarder+hoard of connection attic is not known to stream" in message
    assert "1.4 GB for a million rows" in message


def test_the_drivers_that_are_said_to_stream_hold_a_chunk_and_no_more(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    rows, chunk_rows, bytes_a_row = 200_000, 5_000, 1_000
    recursive = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0}) SELECT i FROM n) g"
    generated = {"postgres": "generate_series(1, {0}) g(i)", "duckdb": "range({0}) g(i)"}.get(shop.kind.conn_type, recursive)
    sql = f"SELECT i || '{'x' * bytes_a_row}' AS text FROM {generated.format(rows)}"
    process, sizes, memory = psutil.Process(), [], []

    def look(chunk: dict[str, Any]) -> None:
        sizes.append(len(chunk["text"]))
        memory.append(process.memory_info().rss)

    before = process.memory_info().rss
    with caplog.at_level(logging.WARNING):
        warehouse("warehouse").read(sql, {}, ["text"], look, chunk_rows)
    assert sum(sizes) == rows
    assert max(sizes) == chunk_rows
    assert max(memory) - before < rows * bytes_a_row / 3
    assert [message for message in caplog.messages if "stream" in message] == []


DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "warehouses.md"


@pytest.mark.parametrize("title", ["PostgreSQL", "SQLite", "DuckDB"])
def test_the_examples_of_the_document_work(
    title: str, night: Night, simulator: SimulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    (connection,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL))
    sales, users = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    kind = KINDS[connection["conn_type"]]
    if kind.conn_type == "postgres":
        server = night.connect.func.__self__
        connection |= {
            "host": "127.0.0.1",
            "port": server.port,
            "login": "postgres",
            "schema": night.connect.args[0],
            "extra": {},
        }
    else:
        connection["host"] = str(tmp_path / "shop")
    execute = _execute(kind, night, tmp_path / "shop")
    aware, moment = kind.types["aware"], kind.moments["aware"]
    execute(
        f"CREATE TABLE shop_sales (sale_number varchar(9), sold_at {aware}, loyalty_card varchar(9), amount {kind.types['money']})"
    )
    execute(
        f"CREATE TABLE site_users (loyalty_card varchar(9), user_domain varchar(9), user_id varchar(9), identified_at {aware})"
    )
    execute(f"INSERT INTO shop_sales VALUES ('S1', {moment}, 'L1', '19.90'), ('S2', {moment}, 'L2', NULL)")
    execute(f"INSERT INTO site_users VALUES ('L1', 'shop', 'c1', {moment})")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    monkeypatch.setattr(Night, "warehouse", property(lambda _: warehouse("warehouse")))
    night.sales_sql, night.people_sql = sales, users
    night.push(night.read(), simulator.url)
    assert night.states() == {"S1": ("accepted", None), "S2": ("held", "unknown_user")}
    assert (night.row("S1").action_timestamp_ms, night.row("S1").value) == (MOMENT_MS, Decimal("19.90"))
