"""Whatever a run is given that cannot work: one sentence that says what to change, before anything is read or sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.postgres import USER, free_port
from tests.night import CUSTOMER_ID, TOKEN
from tests.surroundings import CONFIGURATION, PEOPLE, SALES, Surroundings
from webflow_conversions.errors import ConversionsError, NotLetIn, Stopped, Unavailable, Unexpected, Unusable

DAY = timedelta(days=1)


def refusal(of: Callable[[], Any], error: type[ConversionsError]) -> str:
    """The sentence with which something is refused."""
    with pytest.raises(error) as refused:
        of()
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def assert_nothing_happened(around: Surroundings) -> None:
    assert around.simulator.events() == []
    assert around.written() == 0


def test_the_surroundings_of_these_tests_work(around: Surroundings) -> None:
    assert around.plan() == ["sales"]
    assert around.extract()["recorded"]["rows"] == 1


@pytest.mark.parametrize("name", ["warehouse", "webflow_ledger", "webflow_default"])
def test_a_connection_is_missing(around: Surroundings, name: str) -> None:
    around.disconnect(name)
    assert refusal(around.plan, Unusable) == (
        f"There is no connection {name}: create it under Admin > Connections, or as AIRFLOW_CONN_{name.upper()}."
    )
    assert_nothing_happened(around)


def test_the_ledger_is_no_postgresql(around: Surroundings) -> None:
    around.connect("webflow_ledger", conn_type="sqlite", host="/tmp/ledger.db")
    assert (
        refusal(around.plan, Unusable)
        == "Connection webflow_ledger is of type sqlite: the ledger needs PostgreSQL (type postgres)."
    )


def test_the_warehouse_speaks_no_sql(around: Surroundings) -> None:
    around.connect("warehouse", conn_type="fs")
    assert refusal(around.plan, Unusable) == "Connection warehouse is of type fs: a warehouse needs a type that speaks SQL."
    assert_nothing_happened(around)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (CONFIGURATION + "delievery: {workers: 2}", "delievery", "this key is not known"),
        (CONFIGURATION.replace("kind: aware", "kind: aware, zone: UTC"), "sources[sales].timestamps.zone", "this key is not known"),
        (CONFIGURATION + "delivery: {workers: two}", "delivery.workers", "not 'two'"),
        (CONFIGURATION.replace("    sql: sales.sql\n", ""), "sources[sales].sql", "this key is missing"),
        (CONFIGURATION.replace("known_users:", "  - {name: sales, sql: a.sql, timestamps: {kind: aware}}\nknown_users:"), "the top", "the source name 'sales' is used twice"),
        (CONFIGURATION.replace("offline-purchase", "offline purchase"), "sources[sales].event_name", "no space"),
        ("sources: [", "in line 1", "is no YAML"),
        ("", "", "is no mapping with sources and known_users"),
    ],
    ids=["unknown key", "unknown key deep within", "wrong type", "missing key", "name twice", "wrong event name", "no YAML", "empty"],
)  # fmt: skip
def test_the_configuration_is_wrong(around: Surroundings, text: str, where: str, what: str) -> None:
    around.configure(text)
    sentence = refusal(around.plan, Unusable)
    assert sentence.startswith(f"The configuration {around.folder / 'conversions.yaml'} is ")
    assert where in sentence
    assert what in sentence
    assert_nothing_happened(around)


def test_the_configuration_is_missing(around: Surroundings) -> None:
    (around.folder / "conversions.yaml").unlink()
    assert refusal(around.plan, Unusable) == (
        f"The configuration {around.folder / 'conversions.yaml'} cannot be read (No such file or directory): "
        "put it there, or name another in WEBFLOW_CONVERSIONS_CONFIG."
    )


def test_an_sql_file_is_missing(around: Surroundings) -> None:
    (around.folder / "sql" / "sales.sql").unlink()
    assert refusal(around.plan, Unusable) == (
        f"The SQL file {around.folder / 'sql' / 'sales.sql'} that conversions.yaml names cannot be read: No such file or directory."
    )
    assert around.simulator.events() == []


@pytest.mark.parametrize(
    ("file", "sql", "sentence"),
    [
        ("sales.sql", SALES.replace(", identity_key", ""), "The query of source sales (sql/sales.sql) does not return identity_key: add it to the SELECT."),
        ("people.sql", PEOPLE.replace("user_domain, ", ""), "The query of known_users (sql/people.sql) does not return user_domain: add it to the SELECT."),
        ("sales.sql", SALES.replace("occurred_at,", "occured_at,"), 'refuses the query of source sales (sql/sales.sql, line 1): column "occured_at" does not exist'),
        ("sales.sql", "\nSELEKT 1", "The query of source sales (sql/sales.sql, line 2) does not begin with SELECT or WITH: write one SELECT."),
        ("sales.sql", SALES.replace("FROM", "FORM"), "refuses the query of source sales (sql/sales.sql, line 1): syntax error"),
        ("sales.sql", SALES.replace(":window_end", ":window_stop"), "The query of source sales (sql/sales.sql, line 1) names :window_stop, but it is given :window_start and :window_end: use these"),
    ],
    ids=["source lacks a column", "known_users lacks a column", "no such column", "no SQL", "broken SQL", "no such bind"],
)  # fmt: skip
def test_a_query_cannot_work(around: Surroundings, file: str, sql: str, sentence: str) -> None:
    (around.folder / "sql" / file).write_text(sql)
    assert sentence in refusal(around.plan, Unusable)
    assert around.simulator.events() == []
    assert around.sql("SELECT count(*) FROM webflow.conversions") == [(0,)]


@pytest.mark.parametrize(
    ("given", "instead", "column"),
    [("    event_name: offline-purchase\n", "", "event_name"), ("kind: aware", "kind: local", "timezone")],
)
def test_neither_the_query_nor_the_configuration_says_what_is_needed(
    around: Surroundings, given: str, instead: str, column: str
) -> None:
    around.configure(CONFIGURATION.replace(given, instead))
    assert refusal(around.plan, Unusable) == (
        f"The query of source sales (sql/sales.sql) does not return {column}, and the configuration gives none: add it to the one or the other."
    )
    assert around.simulator.events() == []

    (around.folder / "sql" / "sales.sql").write_text(SALES.replace("SELECT", f"SELECT 'UTC' AS {column},"))
    assert around.plan() == ["sales"]


@pytest.mark.parametrize("date", ["tomorrow", "2026-02-30", "23.11.2026", "20261123", 20261123, 0, "9999-12-31"], ids=repr)
def test_the_date_is_no_date(around: Surroundings, date: Any) -> None:
    assert "is no date: write it as YYYY-MM-DD" in refusal(lambda: around.plan(date=date), Unusable)
    assert_nothing_happened(around)


@pytest.mark.parametrize(
    ("days", "sentence"),
    [(-3, "lies wholly before the last 2 days"), (2, "lies in the future")],
    ids=["too old", "in the future"],
)
def test_nothing_of_the_date_can_be_sent(around: Surroundings, days: int, sentence: str) -> None:
    # Still so where midnight passes before plan looks at the clock.
    date = f"{datetime.now(UTC) + days * DAY:%Y-%m-%d}"
    assert sentence in refusal(lambda: around.plan(date=date), Unusable)
    assert_nothing_happened(around)


def test_there_is_no_such_source(around: Surroundings) -> None:
    assert refusal(lambda: around.plan(sources=["refunds"]), Unusable) == (
        "There is no source 'refunds' in the configuration: choose from sales."
    )
    assert_nothing_happened(around)


@pytest.mark.parametrize("sources", [5, True, [["sales"]], {"sales": 1}], ids=repr)
def test_the_sources_are_no_names(around: Surroundings, sources: Any) -> None:
    assert refusal(lambda: around.plan(sources=sources), Unusable) == (
        f"sources is {sources!r}, which is no list of names: write it like ['shop', 'crm']."
    )
    assert_nothing_happened(around)


def test_a_text_is_the_name_of_one_source(around: Surroundings) -> None:
    assert around.plan(sources="sales") == ["sales"]
    assert "There is no source 'sales,deals'" in refusal(lambda: around.plan(sources="sales,deals"), Unusable)


@pytest.mark.parametrize("name", ["dry_run", "force"])
@pytest.mark.parametrize(("given", "is_on"), [("False", False), ("false", False), ("", False), ("True", True), (1, True)])
def test_a_switch_may_be_the_text_that_a_template_makes_of_it(around: Surroundings, name: str, given: Any, is_on: bool) -> None:
    around.plan(**{"is_dry_run" if name == "dry_run" else name: given})
    assert around.xcoms["run"][name] is is_on


@pytest.mark.parametrize("name", ["dry_run", "force"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(around: Surroundings, name: str) -> None:
    sentence = refusal(lambda: around.plan(**{"is_dry_run" if name == "dry_run" else name: "no"}), Unusable)
    assert sentence == f"{name} is 'no', which is neither true nor false: write one of these."
    assert_nothing_happened(around)


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"login": "nobody_s"}, "its login"),
        ({"schema": "nowhere"}, "its schema, which names the database"),
        ({"host": "ledger.invalid"}, "its host"),
        ({"port": 99_999}, "its host and port"),
        ({"extra": {"sslmode": "require"}}, "its TLS: sslmode, sslrootcert, and the server's certificate"),
        ({"extra": {"connect_timeout": "soon"}}, "its port, or the number in its extras"),
        ({"extra": {"service": "nowhere"}}, "its extras"),
        ({"extra": {"options": "geqo=off"}}, "its extras"),
    ],
    ids=str,
)
def test_the_ledger_lets_nobody_in(around: Surroundings, fields: dict[str, Any], remedy: str) -> None:
    """As with a warehouse: plan refuses what a person has to correct, a later task tries it again."""
    around.plan()
    server = {"conn_type": "postgres", "host": "127.0.0.1", "port": around.port, "login": USER, "schema": around.database}
    around.connect("webflow_ledger", **server | fields)
    sentence = refusal(around.plan, Unusable)
    assert sentence.startswith("The ledger (connection webflow_ledger) does not let us in: ")
    assert sentence.endswith(f" Correct connection webflow_ledger: {remedy}.")
    assert refusal(around.extract, NotLetIn) == sentence
    assert_nothing_happened(around)


@pytest.mark.parametrize("name", ["warehouse", "webflow_ledger"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ('{"host": "127.0.0.1", "password": "canary"}', "Connection {} has no type: begin its address with one, such as postgres://, or give its JSON a conn_type."),
        ('["canary"]', "Connection {} has no type: begin its address with one, such as postgres://, or give its JSON a conn_type."),
        ("'postgres://canary@127.0.0.1/shop'", "Connection {} has no type: begin its address with one, such as postgres://, or give its JSON a conn_type."),
        ("postgresql+psycopg2://u:canary@127.0.0.1/shop", "Connection {} is of type postgresql+psycopg2, and Airflow's types name no driver: write postgresql."),
        ('{"conn_type": "postgres", "extra": {"sqlalchemy_query": {"a": 1}}}', "The extra of connection {} asks for what there is not here"),
        ('{"conn_type": "postgres", "password": "canary", "hostname": "h"}', "a connection has no field hostname: it has conn_type, host, port, login, password, schema, extra, description, conn_id."),
    ],
    ids=["no type", "a list", "quotes", "SQLAlchemy's type", "unfit extra", "unknown field"],
)  # fmt: skip
def test_a_connection_is_none_that_airflow_understands(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
    told = refusal(around.plan, Unusable)
    assert sentence.format(name) in told
    assert "canary" not in told
    assert_nothing_happened(around)


def test_the_extra_asks_for_a_package_that_is_not_installed(around: Surroundings) -> None:
    around.connect("warehouse", conn_type="postgres", extra={"iam": True})
    assert "The extra of connection warehouse asks for what there is not here" in refusal(around.plan, Unusable)


def test_the_ledger_s_schema_is_somebody_else_s(around: Surroundings) -> None:
    around.sql("CREATE SCHEMA webflow; CREATE TABLE webflow.conversions (id integer)")
    assert "let connection webflow_ledger lead to a database of its own" in refusal(around.plan, Unusable)
    assert around.simulator.events() == []


def test_the_ledger_s_role_may_make_no_temporary_tables(around: Surroundings) -> None:
    around.plan()
    around.sql(
        f"REVOKE TEMPORARY ON DATABASE {around.database} FROM PUBLIC; CREATE ROLE no_temporary LOGIN;"
        "GRANT USAGE ON SCHEMA webflow TO no_temporary;"
        "GRANT ALL ON ALL TABLES IN SCHEMA webflow TO no_temporary; GRANT ALL ON ALL SEQUENCES IN SCHEMA webflow TO no_temporary"
    )
    server = {"conn_type": "postgres", "host": "127.0.0.1", "port": around.port, "schema": around.database}
    around.connect("webflow_ledger", **server, login="no_temporary")
    sentence = refusal(around.extract, Unexpected)
    assert sentence.startswith(
        "The role of the ledger's connection may not do this (permission denied to create temporary tables"
    )
    assert sentence.endswith("): let the owner grant it.")


def test_the_token_is_refused(around: Surroundings) -> None:
    around.connect("webflow_default", conn_type="webflow", host=around.simulator.url, login=CUSTOMER_ID, password="revoked")
    assert refusal(around.plan, Stopped) == (
        "Webflow refuses the token (HTTP 401): put a valid off-site conversion token (Insights > Tracking settings) "
        "into connection webflow_default."
    )
    assert_nothing_happened(around)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"login": TOKEN, "password": CUSTOMER_ID},
            "Customer ID and token of connection webflow_default look swapped: a customer",
        ),
        ({"login": "me@example.com"}, "Connection webflow_default has an e-mail address as customer ID: put your"),
        ({"password": "${WEBFLOW_TOKEN}"}, "Customer ID or token of connection webflow_default is a placeholder"),
    ],
    ids=["swapped", "e-mail", "placeholder"],
)
def test_the_connection_is_mixed_up(around: Surroundings, fields: dict[str, str], sentence: str) -> None:
    good = {"conn_type": "webflow", "host": around.simulator.url, "login": CUSTOMER_ID, "password": TOKEN}
    around.connect("webflow_default", **good | fields)
    assert refusal(around.plan, Unusable).startswith(sentence)
    assert_nothing_happened(around)


def test_the_ledger_is_down(around: Surroundings) -> None:
    around.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")
    assert "ledger" in refusal(around.plan, Unavailable)
    assert_nothing_happened(around)


def test_the_warehouse_is_down(around: Surroundings) -> None:
    """Plan lets it pass, for the extraction of each source to try again."""
    around.connect("warehouse", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="warehouse")
    around.plan()
    assert refusal(around.extract, Unavailable).startswith("The warehouse (connection warehouse) does not answer: ")
    assert around.sql("SELECT count(*) FROM webflow.conversions") == [(0,)]


def test_the_ledger_goes_down_before_extraction(around: Surroundings) -> None:
    around.plan()
    around.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")
    assert "ledger" in refusal(around.extract, Unavailable)
    assert around.sql("SELECT count(*) FROM webflow.conversions") == [(0,)]
