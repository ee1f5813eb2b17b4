"""``webflow-conversions init`` and ``schema``: what they ask for, write and refuse."""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa
import sqlparse
import yaml
from click.testing import CliRunner, Result

from tests.terminal import CTRL_C, CTRL_D, Terminal
from webflow_conversions.cli.dialects import DIALECTS
from webflow_conversions.cli.main import cli
from webflow_conversions.cli.starters import LOADERS, NO_DECIMALS, SYSTEMS, THREE_DECIMALS, dialects_of, schema_text
from webflow_conversions.configuration import ConfigurationFile
from webflow_conversions.files import Loader
from webflow_conversions.rules.source import TimestampKind

ROOT = Path(__file__).parents[2]

FILES = {"conversions.yaml", "conversions.schema.json", "sql/known_users.sql"}

COMBINATIONS = [
    (system, loader, dialect)
    for system, of_system in SYSTEMS.items()
    for loader in of_system.loaders
    for dialect in dialects_of(system, loader)
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")


def run(*arguments: str) -> Result:
    """``webflow-conversions``, without a terminal."""
    return CliRunner().invoke(cli, arguments)


def init(system: str, loader: str, dialect: str, *options: str) -> Result:
    needed = {"--event-name": "sale"}
    if system == "stripe":
        needed["--currency"] = "EUR"
    if system == "plain":
        needed["--timestamps"] = "aware"
    for name in options[::2]:
        needed.pop(name, None)
    more = [part for option in needed.items() for part in option]
    return run("init", "--system", system, "--loader", loader, "--dialect", dialect, *more, *options)


def sentence(result: Result) -> str:
    """The one sentence with which it refuses, and no traceback."""
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    return result.output.splitlines()[-1]


def read(path: Path = Path("include") / "conversions.yaml") -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


# What it writes


@pytest.mark.parametrize(("system", "loader", "dialect"), COMBINATIONS)
def test_what_it_writes_is_a_configuration_whose_queries_have_the_binds_and_columns_that_count(
    system: str, loader: str, dialect: str
) -> None:
    done = init(system, loader, dialect)
    assert done.exit_code == 0, done.output

    file = ConfigurationFile(Path("include") / "conversions.yaml")

    (source,) = file.configuration.sources
    assert source.event_name == "sale"
    assert source.returns_all
    for sql, binds, columns in (
        (file.sql(source.sql), {"window_start", "window_end"}, ["conversion_id", "occurred_at", "identity_key", "value"]),
        (
            file.sql(file.configuration.known_users.sql),
            {"identity_keys"},
            ["identity_key", "user_domain", "user_id", "identified_at"],
        ),
    ):
        (statement,) = sqlparse.parse(sql)
        assert statement.get_type() == "SELECT"
        assert set(sa.text(sql).compile().params) == binds
        returned = re.findall(r"(?:AS |u\.)(\w+),?(?: *--.*)?$", sql[: sql.index("FROM ")], re.MULTILINE)
        assert returned == columns
    assert {str(path.relative_to("include")) for path in Path("include").rglob("*") if path.is_file()} == FILES | {
        f"sql/{source.sql}"
    }


def test_it_begins_in_rehearsal() -> None:
    init("shopify", "fivetran", "postgresql")
    assert read()["delivery"] == {"mode": "rehearse"}


def test_it_ends_with_what_to_do_next() -> None:
    done = init("shopify", "fivetran", "snowflake", "--into", "elsewhere/include")
    steps = [line for line in done.output.splitlines() if re.match(r"\d\. ", line)]
    assert [step[:2] for step in steps] == ["1.", "2.", "3.", "4."]
    assert "webflow-conversions check" in steps[1]
    assert "webflow-conversions preview" in steps[2]
    assert "export AIRFLOW_CONN_WEBFLOW_LEDGER='postgres://" in done.output
    assert "apache-airflow-providers-snowflake" in done.output
    assert f"WEBFLOW_CONVERSIONS_CONFIG='{Path('elsewhere/include/conversions.yaml').resolve()}'" in done.output


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_connection_that_it_shows_is_one_that_airflow_reads(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import BaseHook

    done = init("plain", "own", dialect)
    shown = dict(re.findall(r"export AIRFLOW_CONN_(\w+)='(.*)'$", done.output, re.MULTILINE))
    for name, given in shown.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", given)
    assert BaseHook.get_connection("webflow_default").conn_type == "webflow"
    assert BaseHook.get_connection("warehouse").conn_type


@pytest.mark.parametrize("word", ["on", "123", "1e5", "null", "true", "~", "#sale", "a:b", "-", "it's", '"', "{x}", "deal-won"])
def test_an_event_name_is_itself_in_the_file_whatever_yaml_makes_of_it(word: str) -> None:
    assert init("shopify", "fivetran", "postgresql", "--event-name", word).exit_code == 0
    assert read()["sources"][0]["event_name"] == word


@pytest.mark.parametrize("name", ["123", "no", "0x1F", "1.5", "_"])
def test_a_source_s_name_is_itself_in_the_file_whatever_yaml_makes_of_it(name: str) -> None:
    assert init("shopify", "fivetran", "postgresql", "--source", name).exit_code == 0
    file = ConfigurationFile(Path("include") / "conversions.yaml")
    assert file.configuration.sources[0].name == name
    assert file.sql(file.configuration.sources[0].sql)


@pytest.mark.parametrize("kind", TimestampKind)
def test_plain_tables_have_the_kind_and_the_zone_of_their_times(kind: str) -> None:
    zone = ["--timezone", "Europe/Berlin"] if kind == "local" else []
    assert init("plain", "own", "postgresql", "--timestamps", kind, *zone).exit_code == 0
    expected = {"kind": kind} | ({"timezone": "Europe/Berlin"} if kind == "local" else {})
    assert read()["sources"][0]["timestamps"] == expected


def test_no_currency_is_said_where_none_was_given() -> None:
    init("shopify", "fivetran", "postgresql")
    assert "currency" not in read()


def test_a_currency_of_stripe_is_divided_by_its_own_number_of_units() -> None:
    assert not NO_DECIMALS & THREE_DECIMALS
    assert not {"UGX", "ISK", "HUF", "TWD", "USD"} & (NO_DECIMALS | THREE_DECIMALS)
    for currency, divisor in {"usd": "/ 100.0", "JPY": None, "kwd": "/ 1000.0", "UGX": "/ 100.0"}.items():
        assert init("stripe", "fivetran", "bigquery", "--currency", currency, "--into", currency).exit_code == 0
        sql = (Path(currency) / "sql" / "sources" / "stripe_payments.sql").read_text(encoding="utf-8")
        assert f"c.currency = '{currency.lower()}'" in sql
        assert re.findall(r"/ [\d.]+", sql) == ([divisor] if divisor else [])


# What it needs to know


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ([], "--system and --loader and --dialect and --event-name"),
        (["--system", "plain", "--dialect", "mysql"], "--timestamps and --event-name"),
        (["--system", "stripe", "--loader", "airbyte"], "--dialect and --event-name and --currency"),
        (["--system", "plain", "--dialect", "mysql", "--timestamps", "local", "--event-name", "sale"], "--timezone"),
        (["--system", "woocommerce", "--loader", "own"], "--event-name"),
    ],
)
def test_without_a_terminal_it_says_in_one_sentence_what_is_missing_and_writes_nothing(
    arguments: list[str], missing: str
) -> None:
    assert sentence(run("init", *arguments)) == f"Error: There is no terminal to ask on: give {missing}, too."
    assert not Path("include").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--system", "shopfy"], "'shopfy' is not one of"),
        (["--system", "shopify", "--loader", "own"], "--loader own does not go with the rest: choose from fivetran"),
        (["--system", "stripe", "--loader", "airbyte", "--dialect", "mysql"], "--dialect mysql does not go with the rest"),
        (["--system", "shopify", "--loader", "fivetran", "--dialect", "sqlite"], "--dialect sqlite does not go with the rest"),
        (["--timezone", "Berlin"], "'Berlin' is no name of the IANA time zone database"),
        (["--timezone", "../etc/passwd"], "is no name of the IANA time zone database"),
        (["--event-name", "in store"], "an event name has 1 to 40 printable ASCII characters"),
        (["--event-name", ""], "an event name has 1 to 40 printable ASCII characters"),
        (["--schema", "shop; DROP TABLE orders"], "is no name of a table, a column or a schema"),
        (["--table", "orders -- "], "is no name of a table, a column or a schema"),
        (["--id-column", ":window_start"], "is no name of a table, a column or a schema"),
        (["--schema", ""], "is no name of a table, a column or a schema"),
        (["--schema", "a.b.c.d"], "is no name of a table, a column or a schema"),
        (["--currency", "€"], "is no currency: three letters"),
        (["--source", "../orders"], "a source's name has"),
        (["--user-domain", "x' OR '1' = '1"], "a user domain has"),
    ],
)
def test_a_wrong_answer_is_one_sentence(arguments: list[str], said: str) -> None:
    assert said in sentence(run("init", *arguments))
    assert not Path("include").exists()


@pytest.mark.parametrize(
    "schema_name", ["shop", "db.shop", '"Shop"', "my-project.shop", "`my-project`.shop", "[my shop].dbo", "läden"]
)
def test_a_schema_may_be_in_a_database_and_in_quotes(schema_name: str) -> None:
    assert init("stripe", "fivetran", "postgresql", "--schema", schema_name).exit_code == 0
    assert f"FROM {schema_name}.charge c\n" in Path("include/sql/sources/stripe_payments.sql").read_text(encoding="utf-8")


# Files that are there, and folders that are not


def contents() -> Mapping[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "present", ["include/conversions.yaml", "include/sql/known_users.sql", "include/sql/sources/shopify_sales.sql"]
)
def test_a_file_that_is_there_is_not_overwritten_and_nothing_else_is_written(present: str) -> None:
    Path(present).parent.mkdir(parents=True)
    Path(present).write_text("mine", encoding="utf-8")
    before = contents()

    said = sentence(init("shopify", "fivetran", "postgresql"))

    assert said.startswith(f"Error: {present} is there already, and nothing was written: give --force to overwrite, or --into")
    assert contents() == before


def test_with_force_files_are_overwritten() -> None:
    init("shopify", "fivetran", "postgresql")
    Path("include/conversions.yaml").write_text("mine", encoding="utf-8")
    assert run(
        "init", "--system", "shopify", "--loader", "airbyte", "--dialect", "duckdb", "--event-name", "sale", "--force"
    ).exit_code == 0  # fmt: skip
    assert read()["sources"][0]["name"] == "shopify_sales"


def test_a_folder_that_is_a_file_is_one_sentence() -> None:
    Path("include").write_text("mine", encoding="utf-8")
    said = sentence(init("shopify", "fivetran", "postgresql"))
    assert re.fullmatch(r"Error: include\S* cannot be written \(.*\): name a folder that you may write to with --into\.", said)
    assert Path("include").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_made_is_one_sentence() -> None:
    said = sentence(init("shopify", "fivetran", "postgresql", "--into", "/proc/include"))
    assert said.startswith("Error: /proc/include")
    assert "cannot be written" in said


# On a terminal


def at_the_keys(folder: Path, *arguments: str) -> Terminal:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(folder / "airflow"), "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)])}
    return Terminal([sys.executable, "-m", "webflow_conversions", "init", *arguments], folder, environment)


def test_on_a_terminal_it_asks_again_after_a_wrong_answer_and_enter_takes_what_is_proposed(tmp_path: Path) -> None:
    with at_the_keys(tmp_path) as terminal:
        terminal.answer("Which system do the conversions come from?", "shopfy\n")
        terminal.answer("'shopfy' is not one of", "Plain\n")
        terminal.answer("Which database is the warehouse?", "\n")
        terminal.answer("Which table holds the conversions? [orders]", "sales; --\n")
        terminal.answer("is no name of a table", "sales\n")
        terminal.answer("Which column tells them apart, for ever? [order_number]", "\n")
        terminal.answer("Which column says when they happened? [paid_at]", "sold_at\n")
        terminal.answer("What does it hold?", "local\n")
        terminal.answer("In which time zone? [America/New_York]", "Berlin\n")
        terminal.answer("'Berlin' is no name of the IANA time zone database", "Europe/Berlin\n")
        terminal.answer("Which column is the key to the known users? [customer_no]", "\n")
        terminal.answer("Which column says what they are worth? [total]", "\n")
        terminal.answer("Which table says whom the site made known? [site_users]", "\n")
        terminal.answer("Which event name has the custom goal in Webflow? [offline-purchase]", "in store\n")
        terminal.answer("an event name has", "store-order\n")
        terminal.answer("Which currency are the values in? [USD]", "eur\n")
        status, said = terminal.ends()
    assert (status, "Traceback" in said) == (0, False)
    written = read(tmp_path / "include" / "conversions.yaml")
    (source,) = written["sources"]
    assert (source["event_name"], source["timestamps"], written["currency"]) == (
        "store-order",
        {"kind": "local", "timezone": "Europe/Berlin"},
        "EUR",
    )
    assert "sold_at AS occurred_at" in (tmp_path / "include" / "sql" / "sources" / "store_orders.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize("keys", [CTRL_C + "\n", CTRL_D], ids=["Ctrl-C", "end of file"])
def test_who_leaves_in_the_middle_leaves_nothing_behind(tmp_path: Path, keys: str) -> None:
    """Python's line editor notices a Ctrl-C that comes right before it waits for a key at the next key, hence the Enter."""
    with at_the_keys(tmp_path, "--system", "shopify") as terminal:
        terminal.answer("What lands the tables of Shopify in your warehouse?", keys)
        status, said = terminal.ends()
    assert (status, said.endswith("Aborted!\n"), "Traceback" in said) == (1, True, False)
    assert not (tmp_path / "include").exists()


@pytest.mark.parametrize(("keys", "status"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_on_a_terminal_it_asks_once_before_it_overwrites(tmp_path: Path, keys: str, status: int) -> None:
    mine = tmp_path / "include" / "conversions.yaml"
    (tmp_path / "include" / "sql" / "sources").mkdir(parents=True)
    for path in (mine, tmp_path / "include" / "sql" / "sources" / "shopify_sales.sql"):
        path.write_text("mine", encoding="utf-8")
    answered = ["--loader", "fivetran", "--dialect", "duckdb", "--event-name", "sale", "--schema", "s", "--user-domain", "crm"]
    with at_the_keys(tmp_path, "--system", "shopify", "--currency", "USD", *answered) as terminal:
        terminal.answer("is there already. Overwrite it? [y/N]", keys)
        ended, said = terminal.ends()
    assert ended == status
    assert "Overwrite" not in said
    assert (mine.read_text(encoding="utf-8") == "mine") is (status == 1)


# The schema


def test_what_it_writes_fits_the_schema_that_it_writes_beside_it() -> None:
    init("shopify", "fivetran", "postgresql", "--currency", "EUR")
    first = Path("include/conversions.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=conversions.schema.json"
    jsonschema.validate(read(), json.loads(Path("include/conversions.schema.json").read_text(encoding="utf-8")))


def test_the_command_prints_the_schema_that_init_writes() -> None:
    init("shopify", "fivetran", "postgresql")
    assert run("schema").output == Path("include/conversions.schema.json").read_text(encoding="utf-8") == schema_text()


# docs/starters.md


def test_the_document_names_every_system_loader_and_database() -> None:
    text = (ROOT / "docs" / "starters.md").read_text(encoding="utf-8")
    for name in (*SYSTEMS, *LOADERS, *DIALECTS):
        assert f"`{name}`" in text, name


def test_the_commands_of_the_document_work() -> None:
    text = (ROOT / "docs" / "starters.md").read_text(encoding="utf-8")
    commands = re.findall(
        r"^webflow-conversions (.+?)(?: > (\S+))?$", "".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)), re.MULTILINE
    )
    assert len(commands) == 2
    for arguments, written_to in commands:
        done = run(*shlex.split(arguments))
        assert done.exit_code == 0, done.output
        if written_to:
            assert Path(written_to).read_text(encoding="utf-8") == done.output
