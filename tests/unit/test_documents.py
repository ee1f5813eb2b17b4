"""What the documents say of the configuration is what the code has; their examples work, and their links lead somewhere."""

import ast
import json
import re
import runpy
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
import yaml

from webflow_conversions.cli.fixtures import Fixture
from webflow_conversions.cli.main import cli
from webflow_conversions.cli.testing import FIELDS, run_fixture
from webflow_conversions.configuration import ENVIRONMENT_VARIABLE, Configuration, ConfigurationFile
from webflow_conversions.documents import commands
from webflow_conversions.operators.notifiers import built
from webflow_conversions.provider import get_provider_info
from webflow_conversions.rules import evaluation, identity
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.source import TimestampKind
from webflow_conversions.rules.states import State
from webflow_conversions.rules.timestamps import to_utc_milliseconds
from webflow_conversions.ui import ledger, threads

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(chain(ROOT.glob("*.md"), ROOT.glob("[!.]*/**/*.md")))
README, CONFIGURATION = ROOT / "README.md", ROOT / "docs" / "configuration.md"
SOURCES, TESTING = ROOT / "docs" / "sources.md", ROOT / "docs" / "testing.md"

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:href|src|srcset)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
CITATION = re.compile(r"docs/webflow-api\.md,([^.,;:)`\"\n]*)")
OF_A_MACHINE = re.compile(r"(?<![\w.~}])/(?:home|root|tmp|Users|work|mnt|private)/")

REQUIRED = {
    "sources": [{"name": "shop", "sql": "shop.sql", "timestamps": {"kind": "aware"}}],
    "known_users": {"sql": "known_users.sql"},
}

in_each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [text for _, of, text in FENCE.findall(document.read_text(encoding="utf-8")) if of == language]


def rows(document: Path) -> Iterator[list[str]]:
    """The cells of every row of a table."""
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def anchors(document: Path) -> set[str]:
    """The places that a link can lead to: the headings, as GitHub writes them."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def links(document: Path) -> Iterator[str]:
    """The links of a document that lead into the repository."""
    text = CODE.sub("", FENCE.sub("", document.read_text(encoding="utf-8")))
    for markdown, html in LINK.findall(text):
        if not re.match(r"[a-z]+:", markdown or html):
            yield markdown or html


# Every document


@in_each_document
def test_a_link_leads_to_a_file_and_to_a_heading_that_are_there(document: Path) -> None:
    dead = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not (target.exists() and target.is_relative_to(ROOT) and (not anchor or anchor in anchors(target))):
            dead.append(link)
    assert not dead


@in_each_document
def test_a_document_names_no_path_of_somebodys_machine(document: Path) -> None:
    assert [line for line in document.read_text(encoding="utf-8").splitlines() if OF_A_MACHINE.search(line)] == []


@pytest.mark.parametrize("folder", [ROOT / "docs", ROOT / "docs" / "adr"], ids=["docs", "adr"])
def test_the_index_lists_every_document(folder: Path) -> None:
    linked = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in links(ROOT / "docs" / "README.md")}
    assert {path for path in folder.glob("*.md") if path.name != "README.md"} <= linked


# Examples


@pytest.mark.parametrize(
    "text",
    [block for document in (README, CONFIGURATION, SOURCES) for block in blocks(document, "yaml")],
    ids=lambda text: text.split("\n")[0],
)
def test_an_example_of_the_configuration_is_read(text: str, tmp_path: Path) -> None:
    missing = {key: part for key, part in REQUIRED.items() if key not in yaml.safe_load(text)}
    path = tmp_path / "conversions.yaml"
    path.write_text(text + (yaml.safe_dump(missing) if missing else ""), encoding="utf-8")

    configuration = ConfigurationFile(path).configuration

    for notice in configuration.notices:
        built(notice)


def test_the_example_of_all_keys_has_all_keys_and_is_otherwise_the_default() -> None:
    shown = yaml.safe_load(blocks(CONFIGURATION, "yaml")[0])

    assert shown.keys() == Configuration.model_fields.keys()
    defaults = Configuration.model_validate(REQUIRED).model_dump(mode="json")
    for part in ("delivery", "guards", "notices", "retention_days", "people_retention_days"):
        assert shown[part] == defaults[part]


@pytest.mark.parametrize("document", [README, CONFIGURATION], ids=["README", "configuration"])
def test_an_example_of_connections_is_read(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import BaseHook

    from webflow_conversions.hooks.webflow import WebflowHook

    examples = re.findall(r"^(?:export )?AIRFLOW_CONN_(\w+)='(.+)'$", "".join(blocks(document, "bash")), re.MULTILINE)
    for name, given in examples:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", given.replace("…", "secret-of-the-test"))

    assert {"WEBFLOW_DEFAULT", "WAREHOUSE", "WEBFLOW_LEDGER"} <= {name for name, _ in examples}
    for name, _ in examples:
        assert BaseHook.get_connection(name.lower()).password == "secret-of-the-test"
    assert WebflowHook().get_conn().url == "https://log.intellimize.co/event"


def test_the_examples_of_occurred_at_are_moments_of_their_kind() -> None:
    shown = {cells[0].strip("`"): re.findall(r"`([^`]+)`", cells[2]) for cells in rows(CONFIGURATION) if len(cells) == 3}
    for kind in TimestampKind:
        assert shown[kind]
        for example in shown[kind]:
            given = Decimal(example) if kind.startswith("epoch") else example
            (milliseconds,), (reason,) = to_utc_milliseconds(pd.Series([given], dtype=object), kind=kind, zones="UTC")
            assert (milliseconds // 1000, reason) == (1773500966, None)


def test_the_sql_of_the_readme_has_the_binds_and_the_columns_that_count() -> None:
    (sql,) = blocks(README, "sql")

    assert set(sa.text(sql).compile().params) == {"window_start", "window_end"}
    assert set(evaluation.REQUIRED_COLUMNS) <= set(re.findall(r"\bAS (\w+)", sql))


# docs/configuration.md


def keys(schema: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, set[str]]]:
    """Each key of a JSON schema, with its default as a document writes it, and the values that bound it."""
    for name, field in schema["properties"].items():
        branches = [field, *field.get("anyOf", []), field.get("items", {})]
        branches += [branch.get("items", {}) for branch in field.get("anyOf", [])]
        references = [branch["$ref"].rpartition("/")[2] for branch in branches if "$ref" in branch]
        parts = [definitions[reference] for reference in references]
        is_mapping = any("properties" in part for part in parts) and "items" not in field and "anyOf" not in field
        default = "required" if name in schema.get("required", ()) else "{}" if is_mapping else as_text(field.get("default"))
        bounds = {as_text(value) for part in parts for value in part.get("enum", ())}
        for branch in branches:
            for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
                if bound in branch:
                    bounds.add(as_text(branch[bound]))
        yield prefix + name, default, bounds
        for part in parts:
            if "properties" in part:
                yield from keys(part, definitions, f"{prefix}{name}.")


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_the_document_has_every_key_of_the_configuration_with_its_default_and_its_bounds() -> None:
    schema = Configuration.model_json_schema()
    expected = {key: (default, bounds) for key, default, bounds in keys(schema, schema["$defs"])}
    top = tuple(schema["properties"])
    found = {
        cells[0].strip("`"): cells[1:]
        for cells in rows(CONFIGURATION)
        if cells[0].strip("`").split(".")[0] in top and len(cells) == 4
    }

    assert {key: cells[0].strip("`") for key, cells in found.items()} == {key: default for key, (default, _) in expected.items()}
    for key, (_, bounds) in expected.items():
        assert bounds <= set(re.findall(r"[\w.]*\w", found[key][1])), key


@pytest.mark.parametrize(
    "names",
    [
        (*evaluation.REQUIRED_COLUMNS, *evaluation.OPTIONAL_COLUMNS),
        identity.REQUIRED_COLUMNS,
    ],
    ids=["a source's query", "the query of known users"],
)
def test_the_document_has_every_column_of_a_query_and_says_whether_it_is_needed(names: tuple[str, ...]) -> None:
    needed = evaluation.REQUIRED_COLUMNS + identity.REQUIRED_COLUMNS
    shown = {(cells[0].strip("`"), cells[1]) for cells in rows(CONFIGURATION)}
    assert {(name, "yes" if name in needed else "no") for name in names} <= shown


def test_the_document_has_every_extra_of_the_connections_with_its_default() -> None:
    shown = {(cells[0], cells[1].strip("`")) for cells in rows(CONFIGURATION)}
    for connection in get_provider_info()["connection-types"]:
        for name, field in connection["conn-fields"].items():
            is_needed = (connection["connection-type"], name) == ("webflow_data", "site_id")
            default = "required" if is_needed else str(field["schema"].get("default", "none")).lower()
            assert (f"extra `{name}`", default) in shown


def test_the_document_has_every_parameter_of_the_dag_with_its_default() -> None:
    dag = runpy.run_path(str(ROOT / "dags" / "webflow_offsite_conversions.py"))["dag"]
    shown = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(CONFIGURATION)}

    expected = {name: json.dumps(given) for name, given in dag.params.dump().items()}
    assert {name: shown.get(name) for name in expected} == expected


def test_the_documents_name_the_environment_variable() -> None:
    for document in (README, CONFIGURATION):
        assert f"`{ENVIRONMENT_VARIABLE}`" in document.read_text(encoding="utf-8")


# docs/webflow-api.md


def test_a_citation_of_webflow_s_contract_names_a_heading_that_is_there() -> None:
    """A citation stands in one line: the page, a comma, a space, the heading."""
    headings = {f" {heading}" for heading in HEADING.findall((ROOT / "docs" / "webflow-api.md").read_text(encoding="utf-8"))}
    sources = chain(DOCUMENTS, ROOT.glob("[!.]*/**/*.py"), ROOT.glob("[!.]*/**/*.sql"))
    cited = {(path, heading) for path in sources for heading in CITATION.findall(path.read_text(encoding="utf-8"))}

    assert cited
    assert {(str(path.relative_to(ROOT)), heading) for path, heading in cited if heading not in headings} == set()


# The page's bounds


def test_the_documents_have_the_bounds_of_the_page() -> None:
    shown = {cells[0]: re.findall(r"\d+", cells[1]) for cells in rows(ROOT / "docs" / "production.md") if len(cells) == 2}

    assert [shown["threads"][0], shown["connections to the ledger"][0]] == [str(threads.THREADS)] * 2
    assert shown["requests that wait for a thread"][:2] == [str(threads.MOST_WAITING), f"{threads.WAIT_SECONDS:g}"]
    bounds = (ledger.CONNECT_SECONDS, ledger.LOCK_SECONDS, ledger.READ_SECONDS, ledger.ACT_SECONDS, ledger.GRACE_SECONDS)
    assert shown["a session on the ledger"] == [f"{seconds:g}" for seconds in bounds]
    in_words = (
        ("production.md", f"needs {threads.THREADS} for each process"),
        ("page.md", f"is done in {threads.THREADS} threads of its own, up to\n{threads.MOST_WAITING} requests wait"),
        ("troubleshooting.md", f"serves {threads.THREADS} requests at a time, and {threads.MOST_WAITING} wait"),
    )
    assert [name for name, words in in_words if words not in (ROOT / "docs" / name).read_text(encoding="utf-8")] == []


# README.md


def test_the_readme_has_a_row_for_every_state() -> None:
    assert set(State) <= {cells[0].strip("`") for cells in rows(README)}


def test_the_readme_names_the_versions_of_airflow_and_pandas() -> None:
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE))
    text = README.read_text(encoding="utf-8")
    assert f"Airflow {pinned['apache-airflow']} and pandas {pinned['pandas']}" in text
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    at_least = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(needed), re.MULTILINE))
    assert f"({at_least['apache-airflow']} or newer, with pandas {at_least['pandas']} or\nnewer)" in text


# docs/commands.md


def test_the_page_of_the_command_is_the_one_that_the_code_writes() -> None:
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == commands.page()
    assert {f"[`{name}`](#webflow-conversions-{name})" for name in cli.commands} <= {
        cells[0] for cells in rows(ROOT / "docs" / "commands.md")
    }


# docs/testing.md


def test_the_fixture_of_the_document_passes_with_the_query_and_the_configuration_of_the_readme(tmp_path: Path) -> None:
    fixture = next(text for text in blocks(TESTING, "yaml") if text.startswith("now:"))
    files = {
        "conversions.yaml": next(text for text in blocks(README, "yaml") if text.startswith("sources:")),
        "sql/sources/store_orders.sql": blocks(README, "sql")[0],
        "sql/known_users.sql": (ROOT / "include" / "sql" / "known_users.sql").read_text(encoding="utf-8"),
        "tests/store_orders.yaml": fixture,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    tested = run_fixture(tmp_path / "conversions.yaml", tmp_path / "tests" / "store_orders.yaml")

    assert (tested.conversions, list(tested.differences)) == (3, [])


def test_the_document_has_every_key_of_a_fixture_and_every_field_of_a_conversion() -> None:
    shown = {name for cells in rows(TESTING) for name in re.findall(r"`([\w.…]+)`", cells[0])}
    assert {*Fixture.model_fields, "tables.….rows", "tables.….types", *FIELDS} - {"conversion_id", "event_name"} <= shown


def test_the_documents_that_a_sentence_of_the_product_names_are_there() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        for name in re.findall(r"\bdocs/[\w-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)} names {name}"


# docs/glossary.md


def test_the_glossary_has_every_state_reading_and_verdict_on_credit() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [word for word in (*State, *Reading, *Attribution) if f"`{word}`" not in text] == []


# docs/troubleshooting.md


def sentences() -> set[str]:
    """The texts of the package, with … for what is put in."""
    found = set()
    for path in (ROOT / "plugins" / "webflow_conversions").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str() as text):
                    found.add(text)
                case ast.JoinedStr(values=parts):
                    found.add("".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts))
    return found


def test_each_sentence_of_the_page_is_one_that_the_product_says() -> None:
    said = sentences()
    quoted = [
        cells[0].strip("`")
        for cells in rows(ROOT / "docs" / "troubleshooting.md")
        if cells[0].startswith("`") and re.search(r" .* ", cells[0]) and cells[0] != "`address already in use`"
    ]
    assert len(quoted) > 30
    assert [sentence for sentence in quoted if sentence not in said] == []


# CONTRIBUTING.md


def test_the_parts_of_the_package_are_listed_with_those_that_import_airflow() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = ROOT / "plugins" / "webflow_conversions"
    parts = {path.name + "/" * path.is_dir() for path in package.iterdir() if path.name[0] not in "._"}
    assert parts <= {name for cells in rows(ROOT / "CONTRIBUTING.md") for name in re.findall(r"`([\w./]+)`", cells[0])}
    (sentence,) = re.findall(r"Only ([^.]+?(?:\.py[^.]+)*) import Airflow\.", text.replace("\n", " "))
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in linter["contracts"] if one.get("forbidden_modules") == ["airflow"])
    assert {f"{package.name}.{name.removesuffix('.py')}" for name in re.findall(r"`([\w.]+)`", sentence)} == {
        f"{package.name}.{part.rstrip('/').removesuffix('.py')}" for part in parts
    } - set(contract["source_modules"])
