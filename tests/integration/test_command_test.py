"""``webflow-conversions test``: the user's own SQL on an embedded database, against what a fixture expects."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from demo.airflow_stack import REPOSITORY
from webflow_conversions.cli.main import cli

CONFIGURATION = """
sources:
  - {name: sales, sql: sales.sql, event_name: store-order, timestamps: {kind: aware}}
known_users: {sql: people.sql}
"""
FIXTURE = """
now: 2026-11-23T22:00:00Z
tables:
  shop.orders:
    rows:
      - {id: 1, paid_at: "2026-11-23 10:00:00Z", customer: k1, total: 149.99}
      - {id: 2, paid_at: "2026-11-23 11:00:00Z", customer: k2, total: 10}
  people:
    types: {identified_at: TIMESTAMPTZ}
    rows: [{identity_key: k1, user_domain: crm, user_id: u1, identified_at: null}]
expect:
  sales:
    - {conversion_id: 1, state: ready, value: 149.99, payload: {userId: u1, value: 149.99}}
    - {conversion_id: 2, state: held, reason: unknown_user, payload: null}
"""


class Folder:
    """A configuration, its SQL and a fixture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "sql").mkdir()
        (path / "tests").mkdir()
        self.write("conversions.yaml", CONFIGURATION)
        self.write(
            "sql/sales.sql",
            "SELECT id AS conversion_id, paid_at AS occurred_at, customer AS identity_key, total AS value FROM shop.orders"
            " WHERE paid_at >= :window_start AND paid_at < :window_end",
        )
        self.write("sql/people.sql", "SELECT * FROM people WHERE identity_key IN :identity_keys")
        self.write("tests/orders.yaml", FIXTURE)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["test", "--config", str(self.path / "conversions.yaml"), *arguments])

    def differences(self) -> list[str]:
        (fixture,) = json.loads(self.run("--json").stdout)["fixtures"]
        found: list[str] = fixture["differences"]
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_fixture_that_comes_out_as_expected_passes(folder: Folder) -> None:
    result = folder.run()
    assert (result.exit_code, result.output) == (0, f"{folder.path}/tests/orders.yaml: 2 conversions as expected\n")


def test_the_sample_has_a_fixture_that_passes() -> None:
    result = CliRunner().invoke(cli, ["test", "--config", str(REPOSITORY / "include" / "conversions.yaml")])
    assert (result.exit_code, "7 conversions as expected" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("state: ready", "state: held", "sales: 1: state is 'ready', not 'held'"),
        ("reason: unknown_user", "reason: missing_identity", "sales: 2: reason is 'unknown_user', not 'missing_identity'"),
        ("value: 149.99, payload", "value: 150, payload", "sales: 1: value is Decimal('149.99'), not 150"),
        ("conversion_id: 2,", "conversion_id: 3,", "sales: 3: no such conversion came out"),
        ("payload: null", "payload: {userId: u2}", "sales: 2: payload is None, not {'userId': 'u2'}"),
    ],
)
def test_what_differs_is_said_and_fails(folder: Folder, before: str, after: str, sentence: str) -> None:
    folder.write("tests/orders.yaml", FIXTURE.replace(before, after))
    assert sentence in folder.differences()
    assert folder.run().exit_code == 1


def test_a_mapping_in_place_of_a_text_is_a_difference(folder: Folder) -> None:
    folder.write("tests/orders.yaml", FIXTURE.replace("state: ready", "state: {ready: yes}"))
    assert any("state is 'ready', not {'ready': 'yes'}" in sentence for sentence in folder.differences())


def test_a_conversion_that_nobody_expected_is_a_difference(folder: Folder) -> None:
    folder.write(
        "tests/orders.yaml", "".join(line for line in FIXTURE.splitlines(keepends=True) if "conversion_id: 2" not in line)
    )
    assert folder.differences() == ["sales: 2: came out as held (unknown_user), and is not in expect"]


def test_a_date_narrows_the_window(folder: Folder) -> None:
    folder.write("tests/orders.yaml", FIXTURE.replace("tables:", "date: 2026-11-22\ntables:", 1))
    assert folder.differences() == ["sales: 1: no such conversion came out", "sales: 2: no such conversion came out"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("now: soon\n", "is wrong at now"),
        ("- 1\n", "is no mapping with now, tables and expect"),
        (re.sub("now: .*", "now: 0001-01-01T00:00:00Z", FIXTURE), "is wrong at now"),
        (FIXTURE.replace("state: ready", "status: ready"), "a conversion has no field 'status'"),
        (FIXTURE.replace("TIMESTAMPTZ", "TIMESTAMPTZ); DROP TABLE people; --"), "is none of DuckDB"),
        (FIXTURE.replace("TIMESTAMPTZ", "MOMENT"), "cannot be made"),
        (FIXTURE.replace("  sales:\n", "  shop:\n"), "There is no source 'shop'"),
    ],
)
def test_a_fixture_that_is_wrong_is_one_sentence(folder: Folder, text: str, sentence: str) -> None:
    folder.write("tests/orders.yaml", text)
    result = folder.run()
    assert (result.exit_code, result.output.count("\n"), sentence in result.output) == (1, 1, True), result.output


def test_without_fixtures_it_says_where_they_belong(folder: Folder) -> None:
    (folder.path / "tests" / "orders.yaml").unlink()
    result = folder.run()
    assert (result.exit_code, "There is no fixture" in result.output) == (1, True)


@pytest.mark.parametrize("name", ['od"d', "od:d", "a b"])
def test_names_of_tables_and_columns_are_names_alone(folder: Folder, name: str) -> None:
    quoted = name.replace('"', '""')
    fixture: dict[str, Any] = {
        "now": "2026-11-23T22:00:00Z",
        "tables": {
            name: {"rows": [{"id": "1", name: "2026-11-23 10:00:00Z"}]},
            "people": {
                "rows": [{"identity_key": "k1", "user_domain": "crm", "user_id": "u1", "identified_at": "2026-11-01 00:00Z"}]
            },
        },
        "expect": {"sales": [{"conversion_id": "1", "state": "ready"}]},
    }
    folder.write("tests/orders.yaml", json.dumps(fixture))
    escaped = quoted.replace(":", "\\:")
    folder.write(
        "sql/sales.sql", f'SELECT id AS conversion_id, "{escaped}" AS occurred_at, \'k1\' AS identity_key FROM "{escaped}"'
    )
    assert folder.differences() == []
