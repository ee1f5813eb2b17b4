"""``webflow-conversions check``: a warehouse, a ledger and an API that are real, and what it says of each."""

import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.surroundings import CONFIGURATION, PEOPLE, Surroundings
from webflow_conversions.cli.main import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def checked(*arguments: str) -> dict[str, Any]:
    """The checks by what they are about."""
    document = json.loads(run("--json", *arguments).output)
    return {one["about"]: one for one in document["checks"]}


def test_a_configuration_that_can_work_passes_and_nothing_is_written_or_sent(around: Surroundings) -> None:
    result = run()
    assert (result.exit_code, around.written(), around.simulator.events()) == (0, 0, [])
    assert around.sql("SELECT to_regclass('webflow.runs')") == [(None,)]
    assert "A run could succeed." in result.output


@pytest.mark.parametrize("command", [["check"], ["preview"], ["trace", "c1"]], ids=" ".join)
def test_json_is_all_that_stands_on_standard_output_whatever_is_logged(around: Surroundings, command: list[str]) -> None:
    (around.folder / "sql" / "people.sql").write_text(PEOPLE.partition(" WHERE")[0])  # which is warned of
    program = [sys.executable, "-m", "webflow_conversions", *command, "--json"]
    ended = subprocess.run(program, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)
    assert "does not use :identity_keys" in ended.stderr


def test_it_says_where_conversions_would_go(around: Surroundings) -> None:
    found = checked()["destination webflow_default"]
    assert found["level"] == "right"
    assert f"sales to {around.simulator.url}/event, customer ID 123456789." in found["found"]


def test_each_query_is_named_with_its_file_connection_and_columns(around: Surroundings) -> None:
    found = checked()
    columns = "conversion_id (text), occurred_at (timestamp with time zone), identity_key (text)"
    assert found["query of source sales"]["found"] == f"sales.sql, over connection warehouse: {columns}"
    assert found["query of known_users"]["found"].startswith(
        "people.sql, over connection warehouse: identity_key (text), user_domain"
    )


def test_every_mistake_is_told_at_once(around: Surroundings) -> None:
    (around.folder / "sql" / "sales.sql").write_text("SELECT 1 AS conversion_id")
    (around.folder / "sql" / "people.sql").unlink()
    around.connect("webflow_default", conn_type="webflow", host=around.simulator.url, login="123456789", password="wrong-token")
    result, found = run(), checked()
    wrong = {about for about, one in found.items() if one["level"] == "wrong"}
    assert wrong == {"query of source sales", "query of known_users", "rows of source sales", "destination webflow_default"}
    assert (result.exit_code, "4 of 8 checks found something wrong." in result.output) == (1, True)


def test_a_ledger_is_not_needed(around: Surroundings) -> None:
    around.disconnect("webflow_ledger")
    assert (run().exit_code, checked()["ledger"]["level"]) == (0, "note")


def test_a_ledger_that_does_not_answer_is_wrong(around: Surroundings) -> None:
    around.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=1, login="nobody", schema="nowhere")
    assert (run().exit_code, checked()["ledger"]["level"]) == (1, "wrong")


def test_a_guard_that_is_switched_off_is_noted(around: Surroundings) -> None:
    around.configure(CONFIGURATION + "guards: {volume_factor: null, empty_source: false}\n")
    assert checked()["guards"]["found"] == "switched off: volume_factor, empty_source"


def test_a_notifier_that_cannot_be_built_is_wrong(around: Surroundings) -> None:
    around.configure(CONFIGURATION + "notices:\n  - {notifier: nowhere.at.All}\n")
    assert checked()["notices[1]"]["level"] == "wrong"


def test_the_option_names_another_file(around: Surroundings) -> None:
    result = run("--config", str(around.folder / "nowhere.yaml"))
    assert (result.exit_code, "nowhere.yaml cannot be read" in result.output) == (1, True)


def test_what_a_database_says_is_text_and_steers_no_terminal(around: Surroundings) -> None:
    (around.folder / "sql" / "sales.sql").write_text('SELECT "[red]\x1b[31msales[/red]" FROM sales')
    output = run().output
    assert ("\x1b" in output, "[red]" in output) == (False, True)


def test_the_first_rows_tell_which_values_are_not_understood(around: Surroundings) -> None:
    (around.folder / "sql" / "sales.sql").write_text(
        "SELECT conversion_id, 'soon' AS occurred_at, identity_key FROM sales UNION ALL SELECT 'c2', (now() - interval '1 hour')::text, 'k1'"
    )
    found = checked()["rows of source sales"]
    assert (found["level"], run().exit_code) == ("note", 0)
    assert found["found"] == "1 of the first 2 rows would be sent; 1 rejected (invalid_timestamp: occurred_at = soon)"


def test_a_source_of_which_nothing_could_be_sent_is_wrong(around: Surroundings) -> None:
    around.sql("TRUNCATE people")
    found = checked()["rows of source sales"]
    assert (found["level"], found["found"]) == ("wrong", "0 of the first 1 rows would be sent; 1 held (unknown_user)")


def test_a_source_without_rows_is_noted(around: Surroundings) -> None:
    around.sql("TRUNCATE sales")
    assert checked()["rows of source sales"] == {
        "about": "rows of source sales",
        "level": "note",
        "found": "no row of the last 2 days",
    }
