"""What is written into a query or a connection by mistake works as it was meant, or is told in the sentence of the documents."""

import json
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from demo.airflow_stack import REPOSITORY
from demo.postgres import PostgresServer
from tests.mariadb import MariaDBServer
from tests.night import NOW
from webflow_conversions.configuration import ConfigurationFile
from webflow_conversions.documents.mistakes import CONNECTIONS, DATABASES, EXAMPLES, PORT, WORKS, ConnectionExample, Example, page
from webflow_conversions.errors import NotLetIn, Unavailable, Unusable
from webflow_conversions.hooks.connections import warehouse
from webflow_conversions.pipeline.visits import Visits
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.rules.query import Query
from webflow_conversions.rules.window import Window
from webflow_conversions.warehouse.reader import Warehouse

WINDOW = Window.up_to(NOW)

SHOP = """
CREATE TABLE orders (order_no varchar(20), paid_at {moment}, customer_no varchar(20), total decimal(9, 2));
CREATE TABLE refunds (order_no varchar(20));
CREATE TABLE site_users (customer_no varchar(20), card bigint, user_id varchar(20), seen_at {moment});
INSERT INTO orders VALUES ('o1', '2026-11-23 21:00:00', 'anna@example.com', 10);
INSERT INTO site_users VALUES ('anna@example.com', 1, 'u1', '2026-11-01 00:00:00'), ('k2', 2, 'u2', '2026-11-01 00:00:00');
INSERT INTO site_users VALUES ('k3', 3, 'u3', '2026-11-01 00:00:00')
"""
POSTGRES = """
CREATE TABLE payroll (LIKE orders);
CREATE FUNCTION checked(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no such customer: %'', $1; END';
CREATE FUNCTION broken(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN
    RETURN (
        SELECT
            nope || $1
    );
END';
DROP ROLE IF EXISTS shop_reader;
CREATE ROLE shop_reader LOGIN;
GRANT SELECT ON orders, refunds, site_users TO shop_reader;
ALTER ROLE shop_reader SET statement_timeout = '1s'
"""


def _postgres(server: PostgresServer) -> sa.Engine:
    server.create_database("mistakes")
    with closing(server.connect("mistakes")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC';" + SHOP.format(moment="timestamptz") + ";" + POSTGRES)

    def connect() -> Any:
        connection = server.connect("mistakes")
        with connection, connection.cursor() as cursor:
            cursor.execute("SET ROLE shop_reader; SET statement_timeout = '1s'")
        return connection

    return sa.create_engine("postgresql+psycopg2://", creator=connect, poolclass=sa.NullPool, hide_parameters=True)


def _sqlite(file: Path) -> sa.Engine:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(SHOP.format(moment="text"))
    return sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool, hide_parameters=True)


def _duckdb(file: Path) -> sa.Engine:
    with duckdb.connect(file) as connection:
        connection.execute("SET TimeZone = 'UTC';" + SHOP.format(moment="timestamptz"))
    return sa.create_engine(f"duckdb:///{file}", poolclass=sa.NullPool, hide_parameters=True)


def _mariadb(server: MariaDBServer) -> sa.Engine:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS mistakes")
        cursor.execute("CREATE DATABASE mistakes CHARACTER SET utf8mb4")
        cursor.execute("USE mistakes")
        for statement in SHOP.format(moment="datetime(3)").split(";"):
            cursor.execute(statement)
    url = f"mysql+pymysql://root@127.0.0.1:{server.port}/mistakes"
    return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)


@pytest.fixture(scope="module", params=DATABASES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, sa.Engine]:
    """The name of a database, and an engine on it for a user who may only read."""
    name: str = request.param
    file = tmp_path_factory.mktemp("shop") / "shop"
    match name:
        case "postgres":
            return name, _postgres(request.getfixturevalue("postgres"))
        case "sqlite":
            return name, _sqlite(file)
        case "duckdb":
            return name, _duckdb(file)
        case _:
            return name, _mariadb(request.getfixturevalue("mariadb"))


def ask(example: Example, folder: Path, engine: sa.Engine) -> Iterator[Any]:
    """What the tasks do with the file of an example, one after the other: plan checks the query, extract reads it."""
    (folder / "sql").mkdir()
    (folder / "conversions.yaml").write_text(
        "sources: [{name: shop, sql: shop.sql, timestamps: {kind: aware}}]\nknown_users: {sql: known_users.sql}"
    )
    name = "known_users.sql" if example.of == "known_users" else "shop.sql"
    (folder / "sql" / name).write_bytes(example.sql.encode(example.encoding))
    reader, sql = Warehouse(engine, "warehouse"), ConfigurationFile(folder / "conversions.yaml").sql(name)
    if example.of == "known_users":
        users = KnownUsers(warehouse=reader, sql=sql, personal_data=PersonalData.REJECT)
        yield users.check()
        yield users.all_of(["anna@example.com", "k2"])["user_id"].tolist()
    else:
        query = SourceQuery(warehouse=reader, name="shop", sql=sql, window=WINDOW)
        yield query.check()
        rows: list[Any] = []
        query.read(lambda chunk: rows.extend(zip(chunk["conversion_id"], chunk["identity_key"], strict=True)))
        yield rows


@pytest.mark.parametrize("example", [pytest.param(one, id=one.written) for many in EXAMPLES.values() for one in many])
def test_what_is_written_into_a_query_is_read_as_meant_or_told_in_the_sentence_of_the_page(
    shop: tuple[str, sa.Engine], example: Example, tmp_path: Path
) -> None:
    database, engine = shop
    if database not in example.databases:
        return
    tasks = ask(example, tmp_path, engine)
    if example.said(database) == WORKS:
        _, found = tasks
        if example.of == "known_users":
            assert {"u1", "u2"} <= set(found)
        else:
            assert found == [("o1", "anna@example.com")]
        return
    if example.when == "extract":
        next(tasks)
    with pytest.raises((Unusable, Unavailable)) as told:
        next(tasks)
    assert str(told.value) == example.said(database).replace("include/", f"{tmp_path}/")
    assert "anna" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize("name", ["source shop", "known_users", "attribution.visits", "attribution.complete_until"])
def test_each_query_is_named_where_its_database_refuses_it(name: str) -> None:
    reader, sql = (
        Warehouse(sa.create_engine("sqlite://"), "warehouse"),
        Query("SELECT\nnope AS complete_until", file="sql/nope.sql"),
    )
    fine = "SELECT 'd' AS user_domain, 'u' AS user_id, 's' AS session_id, 1 AS started_at, 2 AS last_active_at"
    fine = f"SELECT * FROM ({fine}, 3 AS first_viewed_at) v WHERE user_id IN :user_ids"
    queries: dict[str, Any] = {
        "source shop": SourceQuery(warehouse=reader, name="shop", sql=sql, window=WINDOW),
        "known_users": KnownUsers(warehouse=reader, sql=sql, personal_data=PersonalData.REJECT),
        "attribution.visits": Visits(warehouse=reader, sql=sql, until_sql="SELECT 1", history_days=30),
        "attribution.complete_until": Visits(warehouse=reader, sql=fine, until_sql=sql, history_days=30),
    }
    with pytest.raises(Unusable, match=rf"refuses the query of {name} \(sql/nope.sql, line 2\): no such column: nope\. Correct"):
        queries[name].check()


def test_a_query_without_its_keys_is_read_once_for_all_keys_and_plan_warns_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Warehouse(sa.create_engine("sqlite://"), "warehouse")
    times, read = [], reader.read
    monkeypatch.setattr(reader, "read", lambda *of: (times.append(1), read(*of)))
    sql = "SELECT 'k1' AS identity_key, 'crm' AS user_domain, 'u1' AS user_id, NULL AS identified_at"
    users = KnownUsers(warehouse=reader, sql=sql, personal_data=PersonalData.REJECT)
    users.check()
    assert "does not use :identity_keys" in caplog.text
    assert users.all_of([f"k{number}" for number in range(3 * reader.keys_per_query)])["user_id"].tolist() == ["u1"]
    assert len(times) == 1
    with_keys = KnownUsers(warehouse=reader, sql=f"{sql} WHERE 'k1' IN (:identity_keys)", personal_data=PersonalData.REJECT)
    caplog.clear()
    with_keys.check()
    assert caplog.text == ""
    assert with_keys.all_of([f"k{number}" for number in range(3 * reader.keys_per_query)])["user_id"].tolist() == ["u1"]
    assert len(times) == 4


def test_the_page_in_the_docs_is_the_one_that_the_code_writes() -> None:
    assert (REPOSITORY / "docs" / "mistakes.md").read_text(encoding="utf-8") == page()


# Connections


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that asks one of its roles for a password."""
    with PostgresServer(tmp_path_factory.mktemp("strict")) as server:
        for name in ("shop", "closed"):
            server.create_database(name)
        with closing(server.connect("shop")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("CREATE ROLE with_password LOGIN PASSWORD 'right'; CREATE ROLE no_login; CREATE ROLE no_guest LOGIN")
            cursor.execute("REVOKE CONNECT ON DATABASE closed FROM public")
            cursor.execute("SHOW hba_file")
            file = Path(cursor.fetchone()[0])
            file.write_text(f"host all with_password 127.0.0.1/32 scram-sha-256\n{file.read_text()}")
            cursor.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def connected(strict_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the connection ``warehouse``, as it works but for the given fields, and gives a query of it."""

    def connect(**fields: Any) -> SourceQuery:
        given = {"conn_type": "postgres", "host": "127.0.0.1", "port": strict_server.port, "login": "postgres", "schema": "shop"}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(given | fields))
        sql = "SELECT 'o1' AS conversion_id, now() AS occurred_at, 'k1' AS identity_key"
        return SourceQuery(warehouse=warehouse("warehouse"), name="shop", sql=sql, window=WINDOW)

    return connect


def test_the_connection_that_the_examples_change_works(connected: Any, strict_server: PostgresServer) -> None:
    connected().check()
    connected(login="with_password", password="right").check()


@pytest.mark.parametrize("example", [pytest.param(example, id=example.written) for example in CONNECTIONS])
def test_a_mistake_in_a_connection_is_refused_in_plan_with_what_to_correct_and_tried_again_later(
    connected: Any, strict_server: PostgresServer, example: ConnectionExample
) -> None:
    query = connected(**example.fields)
    says = example.says.replace(PORT, str(strict_server.port))
    with pytest.raises(Unusable) as in_plan:
        query.check()
    assert str(in_plan.value) == says
    with pytest.raises(NotLetIn) as in_extract:
        query.read(print)
    assert str(in_extract.value) == says


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 1},
        {"host": "tls-certificate.example", "port": 1, "extra": {"hostaddr": "127.0.0.1"}},
        {"extra": {"target_session_attrs": "standby"}},
    ],
    ids=["server down", "server down whose name has words of a mistake", "standby that was promoted"],
)
def test_what_may_pass_is_tried_again(connected: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="does not answer") as told:
        connected(**fields).check()
    assert not isinstance(told.value, NotLetIn)


def test_too_many_connections_may_pass(connected: Any, strict_server: PostgresServer) -> None:
    with closing(strict_server.connect("shop")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE one_at_a_time LOGIN CONNECTION LIMIT 0")
        connection.commit()
    with pytest.raises(Unavailable, match="too many connections"):
        connected(login="one_at_a_time").check()


@pytest.mark.parametrize(
    ("login", "database", "remedy"),
    [
        ("nobody_s", "shop", "its login and password"),
        ("guest", "mysql", "what its login may read, or its schema"),
        ("root", "shopp", "its schema, which names the database"),
    ],
    ids=["wrong login", "no right", "no such database"],
)
def test_mariadb_s_codes_tell_a_mistake_in_a_connection(mariadb: MariaDBServer, login: str, database: str, remedy: str) -> None:
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS shop")
        cursor.execute("CREATE OR REPLACE USER guest@localhost")
    engine = sa.create_engine(f"mysql+pymysql://{login}@127.0.0.1:{mariadb.port}/{database}", poolclass=sa.NullPool)
    query = SourceQuery(warehouse=Warehouse(engine, "warehouse"), name="shop", sql="SELECT 1", window=WINDOW)
    with pytest.raises(Unusable, match=f"does not let us in: .* Correct connection warehouse: {remedy}"):
        query.check()
