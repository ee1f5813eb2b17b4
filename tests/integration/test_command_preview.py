"""``webflow-conversions preview``: a real warehouse is read, and neither a ledger nor Webflow hears of it."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.surroundings import TWO_SOURCES, Surroundings
from webflow_conversions.cli.main import cli

MORE = """
INSERT INTO sales VALUES
    ('c2', now() - interval '2 hours', 'nobody'), ('c3', now() - interval '3 hours', NULL), ('c4', now() + interval '1 hour', 'k1'),
    ('c1', now() - interval '1 hour', 'k1')
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["preview", *arguments])


def previewed(*arguments: str) -> list[dict[str, Any]]:
    sources: list[dict[str, Any]] = json.loads(run("--json", *arguments).stdout)["sources"]
    return sources


def outcomes(source: dict[str, Any]) -> dict[tuple[str, str | None], int]:
    return {(one["state"], one["reason"]): one["amount"]["rows"] for one in source["outcomes"]}


@pytest.fixture
def with_more(around: Surroundings) -> Surroundings:
    around.sql(MORE)
    (around.folder / "sql" / "sales.sql").write_text("SELECT conversion_id, occurred_at, identity_key FROM sales")
    return around


def test_it_says_how_many_would_end_how_and_writes_nothing(with_more: Surroundings) -> None:
    (source,) = previewed()
    assert outcomes(source) == {
        ("ready", None): 1,
        ("held", "unknown_user"): 1,
        ("rejected", "missing_identity"): 1,
        ("future", None): 1,
    }
    assert (with_more.simulator.events(), with_more.sql("SELECT to_regclass('webflow.runs')")) == ([], [(None,)])


def test_it_needs_neither_a_ledger_nor_a_destination(with_more: Surroundings) -> None:
    with_more.disconnect("webflow_ledger")
    with_more.disconnect("webflow_default")
    (source,) = previewed()
    assert (source["url"], outcomes(source)[("ready", None)]) == (None, 1)
    assert "to a destination whose connection is not there yet" in run().output


def test_it_shows_examples_and_the_first_payloads_without_people(with_more: Surroundings) -> None:
    output = run().output
    assert '"actionId": "webflow_default/sales/offline-purchase/c1"' in output
    assert ('"userId": "u…"' in output, "nobody" in output) == (True, False)
    assert f"to {with_more.simulator.url}/event, customer ID 123456789" in output


def test_a_source_may_be_named(around: Surroundings) -> None:
    around.configure(TWO_SOURCES)
    assert [one["source"] for one in previewed("--source", "deals")] == ["deals"]
    assert [one["source"] for one in previewed()] == ["sales", "deals"]
    assert "There is no source 'shop'" in run("--source", "shop").output


def test_only_the_first_rows_may_be_read(with_more: Surroundings) -> None:
    (source,) = previewed("--rows", "2")
    assert (source["tally"]["read"]["rows"], sum(outcomes(source).values())) == (2, 2)
    assert run("--rows", "0").exit_code == 2


def test_more_rows_than_a_chunk_are_cut_at_the_same_place(around: Surroundings) -> None:
    around.sql("INSERT INTO sales SELECT 'b' || n, now() - interval '2 hours', 'k1' FROM generate_series(1, 45000) n")
    (source,) = previewed("--rows", "30000")
    assert source["tally"]["read"]["rows"] == 30_000


def test_a_date_is_that_days_window_and_an_old_one_is_refused(with_more: Surroundings) -> None:
    assert "lies wholly before the last 2 days" in run("--date", "2020-01-01").output
    assert "is no date" in run("--date", "yesterday").output


def test_conversions_are_judged_where_there_are_visits(around: Surroundings) -> None:
    around.configure_visits()
    (source,) = previewed()
    assert [(one["attribution"], one["amount"]["rows"]) for one in source["credited"]] == [("will_count", 1)]


def test_a_warehouse_that_is_away_is_one_sentence(around: Surroundings) -> None:
    around.connect("warehouse", conn_type="postgres", host="127.0.0.1", port=1, login="nobody", schema="nowhere")
    result = run()
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "does not answer" in result.output
