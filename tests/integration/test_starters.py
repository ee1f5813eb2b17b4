"""What ``init`` writes finds the conversions in tables as the connectors land them, on each database that can be run here.

The columns and types are those of Fivetran's dbt packages, of Airbyte's schemas and of WooCommerce's own tables. A row that must be
left out differs from one that counts in a single column.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from demo.postgres import PostgresServer
from tests.mariadb import MariaDBServer
from webflow_conversions.cli import dialects
from webflow_conversions.cli.init import init
from webflow_conversions.hooks.connections import warehouse
from webflow_conversions.project import Project
from webflow_conversions.rules.evaluation import evaluate
from webflow_conversions.rules.window import Window
from webflow_conversions.warehouse.reader import Warehouse

NOW = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
HAPPENED = datetime(2026, 11, 23, 21, 0, 0, 123000, tzinfo=UTC)
MOMENT, TOO_OLD, LATER = "2026-11-23 21:00:00.123", "2026-11-20 21:00:00", "2026-11-23 21:30:00"
"""Moments in UTC: an hour before the night, before its window, half an hour before the night."""
SECONDS = 1795467600

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table, the kind of type of each of its columns, and its rows; a column that a row leaves out is null."""

    name: str
    columns: Mapping[str, str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Case:
    """Tables of a system as a loader lands them, the conversions in them, and whom the site made known."""

    tables: Sequence[Table]
    conversions: Sequence[tuple[str, str | None, str | None]]
    users: Mapping[str, str]
    options: Sequence[str] = ()
    without: Sequence[str] = field(default_factory=list)
    """Keys of people who are deleted."""
    happened: datetime = HAPPENED


def but(good: Row, **other: Any) -> Row:
    """The row with other values in some columns."""
    return {**good, **other}


SHOPIFY = {
    "name": "#1001", "processed_at": MOMENT, "source_name": "pos", "test": False, "_fivetran_deleted": False, "customer_id": 7001,
}  # fmt: skip
SHOPIFY_LEFT_OUT: Sequence[Row] = [
    {"processed_at": TOO_OLD}, {"source_name": "web"}, {"test": True}, {"cancelled_at": LATER}, {"_fivetran_deleted": True},
    {"customer_id": None},
]  # fmt: skip
SHOPIFY_COLUMNS = {
    "id": "bigint", "name": "text", "processed_at": "moment", "customer_id": "bigint", "source_name": "text", "cancelled_at": "moment",
    "test": "boolean", "_fivetran_deleted": "boolean",
}  # fmt: skip


def shopify(status: str, total: str, tax: str, paid: Sequence[str], unpaid: Sequence[str]) -> Case:
    """Shopify's orders under the names of one of Fivetran's two schemas."""
    good = SHOPIFY | {status: paid[0], total: 119.0, tax: 19.0}
    return Case(
        tables=[
            Table(
                "order",
                SHOPIFY_COLUMNS | {status: "text", total: "float", tax: "float"},
                [
                    good,
                    but(good, name="#1002", **{status: paid[1], tax: None}),
                    but(good, name="#1003", test=None, _fivetran_deleted=None),
                    *(but(good, name=f"#2{number:03}", **other) for number, other in enumerate(SHOPIFY_LEFT_OUT)),
                    *(but(good, name=f"#3{number:03}", **{status: other}) for number, other in enumerate(unpaid)),
                ],
            ),
            Table("customer", {"id": "bigint"}, [{"id": 7001}, {"id": 7002}]),
        ],
        conversions=[("#1001", "7001", "100.00"), ("#1002", "7001", "119.00"), ("#1003", "7001", "100.00")],
        users={"7001": "7001"},
    )


def shopify_airbyte() -> Case:
    good = {
        "id": 1, "name": "#1001", "processed_at": MOMENT, "source_name": "pos", "test": False, "financial_status": "paid",
        "customer": '{"id": 7001, "email": "ann@example.com"}', "total_price": "119.000000000", "total_tax": "19.000000000",
    }  # fmt: skip
    left_out: Sequence[Row] = [
        {"processed_at": TOO_OLD}, {"source_name": "web"}, {"source_name": None}, {"test": True}, {"cancelled_at": LATER},
        {"deleted_at": LATER}, {"customer": None}, {"customer": "{}"}, {"financial_status": "refunded"}, {"financial_status": "pending"},
        {"financial_status": "authorized"}, {"financial_status": "voided"}, {"financial_status": None},
    ]  # fmt: skip
    columns = {
        "id": "bigint", "name": "text", "processed_at": "moment", "customer": "json", "source_name": "text", "cancelled_at": "moment",
        "deleted_at": "moment", "test": "boolean", "financial_status": "text", "total_price": "number", "total_tax": "number",
    }  # fmt: skip
    rows = [
        good,
        but(good, name="#1002", financial_status="partially_refunded", test=None, total_tax=None),
        *(but(good, name=f"#2{number:03}", **other) for number, other in enumerate(left_out)),
    ]
    return Case(
        tables=[Table("orders", columns, rows), Table("customers", {"id": "bigint"}, [{"id": 7001}])],
        conversions=[("#1001", "7001", "100.00"), ("#1002", "7001", "119.00")],
        users={"7001": "7001"},
    )


def woocommerce_airbyte() -> Case:
    good = {
        "id": 71, "number": "71", "date_paid_gmt": MOMENT, "status": "completed", "created_via": "pos-rest-api", "customer_id": 12,
        "total": "119.00", "total_tax": "19.00",
    }  # fmt: skip
    left_out: Sequence[Row] = [
        {"date_paid_gmt": TOO_OLD}, {"date_paid_gmt": None}, {"created_via": "checkout"}, {"created_via": "store-api"},
        {"created_via": None}, {"customer_id": 0}, {"status": "refunded"}, {"status": "cancelled"}, {"status": "on-hold"},
        {"status": "trash"},
    ]  # fmt: skip
    columns = {
        "id": "bigint", "number": "text", "date_paid_gmt": "moment", "status": "text", "created_via": "text", "customer_id": "bigint",
        "total": "text", "total_tax": "text",
    }  # fmt: skip
    rows = [
        good,
        but(good, number="72", status="processing", created_via="admin", total_tax=None),
        *(but(good, number=str(100 + number), **other) for number, other in enumerate(left_out)),
    ]
    return Case(
        tables=[Table("orders", columns, rows), Table("customers", {"id": "bigint"}, [{"id": 12}])],
        conversions=[("71", "12", "100.00"), ("72", "12", "119.00")],
        users={"12": "12"},
    )


def woocommerce_itself() -> Case:
    order = {
        "id": 71, "type": "shop_order", "status": "wc-completed", "customer_id": 12, "total_amount": "119.00000000",
        "tax_amount": "18.00000000",
    }  # fmt: skip
    paid = {"order_id": 71, "date_paid_gmt": MOMENT, "created_via": "pos-rest-api", "shipping_tax_amount": "1.00000000"}
    orders: Sequence[Row] = [
        {"type": "shop_order_refund"}, {"status": "wc-refunded"}, {"status": "wc-pending"}, {"status": "trash"}, {"customer_id": 0},
    ]  # fmt: skip
    details: Sequence[Row] = [
        {"date_paid_gmt": TOO_OLD}, {"date_paid_gmt": None}, {"created_via": "checkout"}, {"created_via": "store-api"},
    ]  # fmt: skip
    rows = [order, but(order, id=72, status="wc-processing", tax_amount=None)]
    more = [paid, but(paid, order_id=72, created_via="admin", shipping_tax_amount=None)]
    for number, (of_order, of_details) in enumerate([*((one, {}) for one in orders), *(({}, one) for one in details)], 100):
        rows.append(but(order, id=number, **of_order))
        more.append(but(paid, order_id=number, **of_details))
    return Case(
        tables=[
            Table(
                "wp_wc_orders",
                {
                    "id": "bigint", "type": "text", "status": "text", "customer_id": "bigint", "total_amount": "number",
                    "tax_amount": "number",
                },
                rows,
            ),
            Table(
                "wp_wc_order_operational_data",
                {"order_id": "bigint", "date_paid_gmt": "clock", "created_via": "text", "shipping_tax_amount": "number"},
                more,
            ),
            Table("wp_users", {"ID": "bigint"}, [{"ID": 12}]),
        ],
        conversions=[("71", "12", "100.00"), ("72", "12", "119.00")],
        users={"12": "12"},
    )  # fmt: skip


def stripe(*, is_airbyte: bool, currency: str = "USD", value: str = "119.50") -> Case:
    person = "customer" if is_airbyte else "customer_id"
    good = {
        "id": "ch_1", "created": SECONDS if is_airbyte else MOMENT, person: "cus_1", "amount": 12_000, "amount_refunded": 0,
        "captured": True, "refunded": False, "livemode": True, "status": "succeeded", "currency": currency.lower(),
    }  # fmt: skip
    left_out: Sequence[Row] = [
        {"created": SECONDS - 3 * 86_400 if is_airbyte else TOO_OLD}, {person: None}, {"captured": False},
        {"refunded": True, "amount_refunded": 12_000}, {"livemode": False}, {"status": "failed"}, {"status": "pending"},
        {"currency": "eur"},
    ]  # fmt: skip
    columns = {
        "id": "text", "created": "bigint" if is_airbyte else "moment", person: "text", "amount": "bigint", "amount_refunded": "bigint",
        "captured": "boolean", "refunded": "boolean", "livemode": "boolean", "status": "text", "currency": "text",
    }  # fmt: skip
    rows = [
        but(good, amount_refunded=50),
        but(good, id="ch_2", amount=5, amount_refunded=None),
        *(but(good, id=f"ch_1{number:02}", **other) for number, other in enumerate(left_out)),
    ]
    small = {"USD": "0.05", "JPY": "5.00", "KWD": "0.01"}[currency]
    people = [{"id": "cus_1", "is_deleted": False}, {"id": "cus_2", "is_deleted": True}]
    return Case(
        tables=[
            Table("charges" if is_airbyte else "charge", columns, rows),
            Table("customers" if is_airbyte else "customer", {"id": "text", "is_deleted": "boolean"}, people),
        ],
        conversions=[("ch_1", "cus_1", value), ("ch_2", "cus_1", small)],
        users={"cus_1": "cus_1"},
        options=["--currency", currency],
        without=[] if is_airbyte else ["cus_2"],
        happened=HAPPENED.replace(microsecond=0) if is_airbyte else HAPPENED,
    )


def salesforce(*, is_airbyte: bool) -> Case:
    """Salesforce's objects, named as in its API by Airbyte, in small letters with underscores by Fivetran."""

    def named(name: str) -> str:
        words = "".join(f"_{one.lower()}" if one.isupper() else one for one in name).removeprefix("_")
        return name if is_airbyte else words

    def rows(*given: Row) -> list[Row]:
        return [{named(name): value for name, value in row.items()} for row in given]

    deal = {"Id": "006A", "IsWon": True, "IsDeleted": False, "StageName": "Closed Won", "Amount": 5000, "CloseDate": "2026-11-30"}
    entry = {"OpportunityId": "006A", "StageName": "Closed Won", "CreatedDate": MOMENT}
    role = {"OpportunityId": "006A", "ContactId": "003A", "IsPrimary": True, "IsDeleted": False}
    types = {"CloseDate": "date", "CreatedDate": "moment", "Amount": "float"}
    tables = {
        "Opportunity": rows(
            deal,
            but(deal, Id="006B", Amount=None),
            but(deal, Id="006C", IsWon=False, StageName="Closed Lost"),
            but(deal, Id="006D", IsDeleted=True),
            but(deal, Id="006E"),
            but(deal, Id="006F"),
        ),
        "OpportunityHistory": rows(
            but(entry, StageName="Proposal", CreatedDate=TOO_OLD),
            entry,
            but(entry, CreatedDate=LATER),  # the amount was changed after it was won
            but(entry, OpportunityId="006B"),
            but(entry, OpportunityId="006C", StageName="Closed Lost"),
            but(entry, OpportunityId="006D"),
            but(entry, OpportunityId="006E", CreatedDate=TOO_OLD),
            but(entry, OpportunityId="006E", CreatedDate=LATER),
            but(entry, OpportunityId="006F", StageName="Proposal"),
        ),
        "OpportunityContactRole": rows(
            role,
            but(role, ContactId="003B", IsPrimary=False),
            but(role, ContactId="003C", IsDeleted=True),
        ),
        "Contact": rows({"Id": "003A", "IsDeleted": False}, {"Id": "003D", "IsDeleted": True}),
    }

    def columns(given: Sequence[Row]) -> dict[str, str]:
        kinds = {named(name): kind for name, kind in types.items()}
        booleans = {name: "boolean" for row in given for name, value in row.items() if isinstance(value, bool)}
        return {name: kinds.get(name, booleans.get(name, "text")) for name in given[0]}

    return Case(
        tables=[Table(named(name), columns(given), given) for name, given in tables.items()],
        conversions=[("006A", "003A", "5000.00"), ("006B", None, None)],
        users={"003A": "003A"},
        without=["003D"],
    )


def hubspot_fivetran() -> Case:
    deal = {
        "deal_id": 901, "deal_pipeline_id": "default", "deal_pipeline_stage_id": "closedwon", "is_deleted": False,
        "property_amount": 5000, "property_closedate": TOO_OLD,
    }  # fmt: skip
    entered = {"deal_id": 901, "value": "closedwon", "date_entered": MOMENT}
    return Case(
        tables=[
            Table(
                "deal",
                {
                    "deal_id": "bigint", "deal_pipeline_id": "text", "deal_pipeline_stage_id": "text", "is_deleted": "boolean",
                    "property_amount": "float", "property_closedate": "moment",
                },
                [
                    deal,
                    but(deal, deal_id=902, property_amount=None),
                    but(deal, deal_id=903, is_deleted=True),
                    but(deal, deal_id=904, deal_pipeline_stage_id="closedlost"),
                    but(deal, deal_id=905),
                    but(deal, deal_id=906, deal_pipeline_id="renewals", deal_pipeline_stage_id="4711", is_deleted=None),
                ],
            ),
            Table(
                "deal_pipeline_stage",
                {"pipeline_id": "text", "stage_id": "text", "probability": "float", "is_closed": "boolean"},
                [
                    {"pipeline_id": "default", "stage_id": "closedwon", "probability": 1.0, "is_closed": True},
                    {"pipeline_id": "default", "stage_id": "closedlost", "probability": 0.0, "is_closed": True},
                    {"pipeline_id": "renewals", "stage_id": "4711", "probability": 1.0, "is_closed": True},
                    {"pipeline_id": "renewals", "stage_id": "closedwon", "probability": 1.0, "is_closed": True},
                ],
            ),
            Table(
                "deal_stage",
                {"deal_id": "bigint", "value": "text", "date_entered": "moment"},
                [
                    but(entered, value="qualifiedtobuy", date_entered="2026-11-23 20:00:00"),
                    entered,
                    but(entered, date_entered=LATER),
                    *(but(entered, deal_id=number) for number in (902, 903)),
                    but(entered, deal_id=904, value="closedlost"),
                    but(entered, deal_id=905, date_entered=TOO_OLD),
                    but(entered, deal_id=906, value="4711"),
                ],
            ),
            Table(
                "deal_contact",
                {"deal_id": "bigint", "contact_id": "bigint", "type_id": "bigint"},
                [
                    {"deal_id": 901, "contact_id": 52, "type_id": 3},
                    {"deal_id": 901, "contact_id": 51, "type_id": 3},
                    {"deal_id": 906, "contact_id": 52, "type_id": 3},
                ],
            ),
            Table(
                "contact",
                {"id": "bigint", "_fivetran_deleted": "boolean"},
                [{"id": 51, "_fivetran_deleted": False}, {"id": 53, "_fivetran_deleted": True}],
            ),
        ],
        conversions=[("901", "51", "5000.00"), ("902", None, None), ("906", "52", "5000.00")],
        users={"51": "51"},
        without=["53"],
    )  # fmt: skip


def hubspot_airbyte() -> Case:
    deal = {
        "id": "901", "properties_closedate": MOMENT, "contacts": '["51", "52"]', "properties_amount": "5000.000000000",
        "properties_hs_is_closed_won": True, "archived": False,
    }  # fmt: skip
    left_out: Sequence[Row] = [
        {"properties_closedate": TOO_OLD}, {"properties_hs_is_closed_won": False}, {"properties_hs_is_closed_won": None},
        {"archived": True},
    ]  # fmt: skip
    return Case(
        tables=[
            Table(
                "deals",
                {
                    "id": "text", "properties_closedate": "moment", "contacts": "json", "properties_amount": "number",
                    "properties_hs_is_closed_won": "boolean", "archived": "boolean",
                },
                [
                    deal,
                    but(deal, id="902", contacts=None, properties_amount=None),
                    but(deal, id="903", contacts="[]"),
                    but(deal, id="904", contacts="[52]", archived=None),
                    *(but(deal, id=str(1000 + number), **other) for number, other in enumerate(left_out)),
                ],
            ),
            Table(
                "contacts",
                {"id": "text", "archived": "boolean"},
                [{"id": "51", "archived": False}, {"id": "53", "archived": True}],
            ),
        ],
        conversions=[("901", "51", "5000.00"), ("902", None, None), ("903", None, "5000.00"), ("904", "52", "5000.00")],
        users={"51": "51"},
        without=["53"],
    )  # fmt: skip


GRAPHQL = (
    "display_financial_status", "total_price_set_shop_amount", "total_tax_set_shop_amount", ["PAID", "PARTIALLY_REFUNDED"],
    ["REFUNDED", "VOIDED", "PENDING", "AUTHORIZED"],
)  # fmt: skip
REST = (
    "financial_status", "total_price", "total_tax", ["paid", "partially_refunded"], ["refunded", "voided", "pending", "authorized"],
)  # fmt: skip

CASES: Mapping[tuple[str, str], Case] = {
    ("shopify", "fivetran"): shopify(*GRAPHQL),
    ("shopify", "fivetran-rest"): shopify(*REST),
    ("shopify", "airbyte"): shopify_airbyte(),
    ("woocommerce", "airbyte"): woocommerce_airbyte(),
    ("woocommerce", "own"): woocommerce_itself(),
    ("stripe", "fivetran"): stripe(is_airbyte=False),
    ("stripe", "airbyte"): stripe(is_airbyte=True),
    ("salesforce", "fivetran"): salesforce(is_airbyte=False),
    ("salesforce", "airbyte"): salesforce(is_airbyte=True),
    ("hubspot", "fivetran"): hubspot_fivetran(),
    ("hubspot", "airbyte"): hubspot_airbyte(),
}


# Databases

TYPES = {
    "postgresql": {
        "text": "varchar", "bigint": "bigint", "float": "double precision", "number": "decimal(38, 9)", "boolean": "boolean",
        "moment": "timestamptz", "clock": "timestamp", "date": "date", "json": "jsonb",
    },
    "duckdb": {
        "text": "varchar", "bigint": "bigint", "float": "double", "number": "decimal(38, 9)", "boolean": "boolean",
        "moment": "timestamptz", "clock": "timestamp", "date": "date", "json": "json",
    },
    "mysql": {
        "text": "varchar(255)", "bigint": "bigint", "float": "double", "number": "decimal(26, 8)", "boolean": "boolean",
        "moment": "timestamp(6) NULL", "clock": "datetime(3)", "date": "date", "json": "json",
    },
    "sqlite": {
        "text": "text", "bigint": "integer", "float": "real", "number": "text", "boolean": "boolean", "moment": "text", "clock": "text",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Backend:
    """A database, what runs statements in it, in UTC, and what opens it for reading."""

    dialect: str
    execute: Callable[[Sequence[str]], None]
    open: Callable[[str], Any] = warehouse

    def land(self, schema: str, tables: Sequence[Table]) -> None:
        """Make the tables in a schema."""
        statements = [] if schema in ("public", "main", "") else [f"CREATE SCHEMA {schema}"]
        place = f"{schema}." if schema else ""
        quote = dialects.DIALECTS[self.dialect].quoted.format
        for table in tables:
            name = place + quote(table.name)
            columns = ", ".join(f"{quote(column)} {TYPES[self.dialect][kind]}" for column, kind in table.columns.items())
            statements.append(f"CREATE TABLE {name} ({columns})")
            for row in table.rows:
                values = ", ".join(self._literal(kind, row.get(column)) for column, kind in table.columns.items())
                statements.append(f"INSERT INTO {name} VALUES ({values})")
        self.execute(statements)

    def _literal(self, kind: str, value: Any) -> str:
        match value:
            case None:
                return "NULL"
            case str() if kind == "moment" and self.dialect != "mysql":
                return f"'{value}+00:00'"
            case str():
                return f"'{value}'"
            case _:
                return str(value)


def _postgresql(server: PostgresServer, connect: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Backend:
    def execute(statements: Sequence[str]) -> None:
        with closing(connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'; " + "; ".join(statements))

    name = connect.args[0]  # type: ignore[attr-defined]
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"postgres://postgres@127.0.0.1:{server.port}/{name}")
    return Backend("postgresql", execute)


def _duckdb(file: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    def execute(statements: Sequence[str]) -> None:
        with duckdb.connect(file) as connection:
            connection.execute("; ".join(statements))

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "duckdb", "host": "{file}", "extra": {{"read_only": true}}}}')
    return Backend("duckdb", execute)


def _sqlite(file: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    engine = sa.create_engine(f"sqlite:///{file}")

    def execute(statements: Sequence[str]) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{file}", "extra": {{"mode": "ro"}}}}')
    return Backend("sqlite", execute)


def _mysql(server: MariaDBServer) -> Backend:
    """MariaDB over SQLAlchemy: the provider of Airflow's connection type is not installed here."""

    def execute(statements: Sequence[str]) -> None:
        with server.connect("starters") as connection, connection.cursor() as cursor:
            for statement in ("SET time_zone = '+00:00'", *statements):
                cursor.execute(statement)

    with server.connect() as connection, connection.cursor() as cursor:
        for schema in ("starters", "wordpress", "shopify", "stripe", "salesforce", "hubspot"):
            cursor.execute(f"DROP DATABASE IF EXISTS {schema}")
        cursor.execute("CREATE DATABASE starters CHARACTER SET utf8mb4")
    engine = sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{server.port}/starters", poolclass=sa.NullPool)
    return Backend("mysql", execute, lambda name: Warehouse(engine, name))


@pytest.fixture
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    match request.param:
        case "postgresql":
            return _postgresql(request.getfixturevalue("postgres"), request.getfixturevalue("database"), monkeypatch)
        case "duckdb":
            return _duckdb(tmp_path / "shop", monkeypatch)
        case "sqlite":
            return _sqlite(tmp_path / "shop", monkeypatch)
        case _:
            return _mysql(request.getfixturevalue("mariadb"))


def project(backend: Backend, tmp_path: Path, *options: str) -> Project:
    """The project that ``init`` writes for a database."""
    done = CliRunner().invoke(init, ["--dialect", backend.dialect, *options, "--into", str(tmp_path / "include")])
    assert (done.exit_code, done.exception) == (0, None), done.output
    path = tmp_path / "include" / "conversions.yaml"
    return Project(path, backend.open)


def conversions(of: Project) -> list[dict[str, Any]]:
    """The conversions of its source, judged, by their ID; each is one row of its query."""
    (source,) = of.config.sources
    query = of.source_query(source, Window.up_to(NOW))
    query.check()
    found: list[dict[str, Any]] = []
    rows_read = 0

    def handle(chunk: dict[str, pd.Series]) -> None:
        nonlocal rows_read
        rows_read += len(chunk["conversion_id"])
        frame = evaluate(chunk, of.config.rules(source), Window.up_to(NOW), NOW).conversions.astype(object)
        found.extend(frame.where(frame.notna(), None).to_dict("records"))

    query.read(handle)
    assert len(found) == rows_read
    return sorted(found, key=lambda row: str(row["conversion_id"]))


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


LANDED = [
    pytest.param(system, loader, dialect, id=f"{system}, {loader}, {dialect}")
    for system, loader in CASES
    for dialect in ("postgresql", "duckdb", "mysql")
    if not (dialect == "mysql" and loader == "airbyte") and (dialect == "mysql" or loader != "own")
]


@pytest.mark.parametrize(("system", "loader", "backend"), LANDED, indirect=["backend"])
def test_what_init_writes_finds_the_conversions_in_the_connector_s_tables_and_no_others(
    system: str, loader: str, backend: Backend, tmp_path: Path
) -> None:
    case = CASES[system, loader]
    options = ["--system", system, "--loader", loader, "--event-name", "sale", *case.options]
    written = project(backend, tmp_path, *options)
    backend.land(_schema_of(tmp_path), case.tables)

    found = conversions(written)

    values = [(row["conversion_id"], row["identity_key"], row["value"]) for row in found]
    expected = [(name, key, None if value is None else Decimal(value)) for name, key, value in case.conversions]
    assert values == expected
    assert {row["action_timestamp_ms"] for row in found} == {milliseconds(case.happened)}
    assert [row["reason"] for row in found] == ["unknown_user" if key else "missing_identity" for _, key, _ in case.conversions]


@pytest.mark.parametrize(("system", "loader", "backend"), LANDED, indirect=["backend"])
def test_what_init_writes_finds_the_known_users_in_the_connector_s_tables(
    system: str, loader: str, backend: Backend, tmp_path: Path
) -> None:
    case = CASES[system, loader]
    options = ["--system", system, "--loader", loader, "--event-name", "sale", *case.options]
    users = project(backend, tmp_path, *options, "--user-domain", "crm:eu").known_users
    backend.land(_schema_of(tmp_path), case.tables)

    users.check()

    asked = [*case.users, *case.without, "nobody"]
    found = users.all_of(asked)[["identity_key", "user_domain", "user_id"]].to_dict("records")
    assert found == [{"identity_key": key, "user_domain": "crm:eu", "user_id": user} for key, user in case.users.items()]


def _schema_of(tmp_path: Path) -> str:
    """The schema that the written query names."""
    (query,) = (tmp_path / "include" / "sql" / "sources").glob("*.sql")
    (line, *_) = (line for line in query.read_text(encoding="utf-8").splitlines() if line.startswith("FROM "))
    return line.removeprefix("FROM ").split(".")[0]


@pytest.mark.parametrize(("currency", "value"), [("JPY", "11950.00"), ("KWD", "11.95"), ("USD", "119.50")])
@pytest.mark.parametrize("backend", ["duckdb"], indirect=True)
def test_an_amount_of_stripe_is_read_in_the_units_of_its_currency(
    backend: Backend, tmp_path: Path, currency: str, value: str
) -> None:
    case = stripe(is_airbyte=False, currency=currency, value=value)
    options = ["--system", "stripe", "--loader", "fivetran", "--event-name", "sale", *case.options]
    written = project(backend, tmp_path, *options)
    backend.land("stripe", case.tables)
    assert [str(row["value"]) for row in conversions(written)] == [value for _, _, value in case.conversions]


PLAIN = {
    "aware": ("moment", MOMENT, []),
    "local": ("clock", "2026-11-23 16:00:00.123", ["--timezone", "America/New_York"]),
    "epoch_seconds": ("float", SECONDS + 0.123, []),
    "epoch_milliseconds": ("bigint", SECONDS * 1000 + 123, []),
}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("backend", ["postgresql", "duckdb", "mysql", "sqlite"], indirect=True)
def test_what_init_writes_for_plain_tables_reads_moments_of_every_kind(backend: Backend, kind: str, tmp_path: Path) -> None:
    type_, moment, options = PLAIN[kind]
    if (backend.dialect, kind) == ("mysql", "aware"):
        kind, options = "local", ["--timezone", "UTC"]
    written = project(
        backend, tmp_path, "--system", "plain", "--event-name", "sale", "--timestamps", kind, *options,
        "--table", "sales", "--time-column", "sold_at", "--known-users-table", "people",
    )  # fmt: skip
    columns = {"order_number": "text", "sold_at": type_, "customer_no": "text", "total": "number"}
    sale = {"order_number": "a", "sold_at": moment, "customer_no": "k1", "total": "119.00"}
    person = {"identity_key": "k1", "user_domain": "crm", "user_id": "u1", "identified_at": MOMENT}
    people = Table("people", dict.fromkeys(person, "text") | {"identified_at": "moment"}, [person])
    backend.land("", [Table("sales", columns, [sale, but(sale, order_number=None)]), people])

    second, first = conversions(written)

    assert (first["conversion_id"], first["action_timestamp_ms"], first["value"]) == (
        "a",
        milliseconds(HAPPENED),
        Decimal("119.00"),
    )
    assert (second["conversion_id"], second["reason"]) == (None, "missing_conversion_id")
    written.known_users.check()
    assert written.known_users.all_of(["k1"])["user_id"].tolist() == ["u1"]
