"""``webflow-conversions trace``: from the row to the event, and out, for one conversion alone."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.surroundings import CONFIGURATION, Surroundings
from webflow_conversions.cli import trace as tracing
from webflow_conversions.cli.main import cli

MORE = """
INSERT INTO sales VALUES
    ('SO-0042', now() - interval '2 hours', 'k1'), ('SO-0043', now() - interval '2 hours', 'k2'),
    ('SO-0044', now() - interval '2 hours', NULL), ('SO-0045', now() - interval '49 hours', 'k1')
"""


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["trace", *arguments], input=answer)


def traced(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("--json", *arguments).stdout)
    return found


@pytest.fixture
def with_more(around: Surroundings) -> Surroundings:
    around.sql(MORE)
    (around.folder / "sql" / "sales.sql").write_text("SELECT conversion_id, occurred_at, identity_key FROM sales")
    return around


@pytest.fixture
def planned(with_more: Surroundings) -> Surroundings:
    """With a ledger that a run of the Dag has made."""
    with_more.plan()
    return with_more


@pytest.mark.parametrize(
    "text", ["SO-0042", "so-0042", " #SO-0042", "No. SO-42", "webflow_default/sales/offline-purchase/SO-0042"]
)
def test_a_conversion_is_found_as_people_write_it(with_more: Surroundings, text: str) -> None:
    assert [one["conversion_id"] for one in traced(text)] == ["SO-0042"]


def test_an_identity_key_finds_all_its_conversions(with_more: Surroundings) -> None:
    assert {one["conversion_id"] for one in traced("k1")} == {"c1", "SO-0042", "SO-0045"}


def test_the_whole_way_is_told(with_more: Surroundings) -> None:
    (one,) = traced("SO-0042")
    assert one["rows"][0]["conversion_id"] == "SO-0042"
    assert (one["users"], one["user_id"]) == ([{"user_domain": "crm", "user_id": "u1"}], "u1")
    assert (one["state"], one["payload"]["userId"], one["payload"]["customerId"]) == ("ready", "u1", "123456789")
    assert (one["ledger"], with_more.sql("SELECT to_regclass('webflow.runs')")) == (None, [(None,)])
    output = run("SO-0042").output
    assert all(step in output for step in ("source row", "moment", "identity key", "known users", "state", "payload", "ledger"))


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("SO-0043", "held", "unknown_user"),
        ("SO-0044", "rejected", "missing_identity"),
        ("SO-0045", "expired", "expired_before_seen"),
    ],
)
def test_what_does_not_go_out_says_why(with_more: Surroundings, text: str, state: str, reason: str) -> None:
    (one,) = traced(text)
    assert (one["state"], one["reason"], one["payload"]) == (state, reason, None)


def test_what_no_source_returns_is_said_with_the_window(with_more: Surroundings) -> None:
    result = run("nowhere")
    assert (result.exit_code, "No source returned a row with nowhere in [" in result.output) == (1, True)


def test_one_conversion_is_sent_and_no_other(planned: Surroundings) -> None:
    result = run("SO-0042", "--send", "--yes")
    assert (result.exit_code, "Webflow received it (HTTP 200)" in result.output) == (0, True)
    assert [event["action_id"] for event in planned.simulator.events()] == ["webflow_default/sales/offline-purchase/SO-0042"]
    assert planned.sql("SELECT conversion_id, state FROM webflow.conversions") == [("SO-0042", "accepted")]
    assert planned.sql("SELECT outcome FROM webflow.runs WHERE dag_id = 'webflow-conversions'") == [("succeeded",)]


def test_others_of_the_same_millisecond_stay(planned: Surroundings) -> None:
    planned.sql("INSERT INTO sales SELECT 'SO-0099', occurred_at, 'k1' FROM sales WHERE conversion_id = 'SO-0042'")
    planned.plan()
    planned.extract()
    assert run("SO-0042", "--send", "--yes").exit_code == 0
    assert planned.sql("SELECT conversion_id FROM webflow.conversions WHERE state = 'accepted'") == [("SO-0042",)]
    assert planned.sql("SELECT state FROM webflow.conversions WHERE conversion_id = 'SO-0099'") == [("ready",)]


def test_a_second_time_is_refused(planned: Surroundings) -> None:
    run("SO-0042", "--send", "--yes")
    result = run("SO-0042", "--send", "--yes")
    assert (result.exit_code, len(planned.simulator.events())) == (1, 1)
    assert "Nothing is sent: by the ledger, SO-0042 of sales is accepted" in result.output


@pytest.mark.parametrize("text", ["SO-0043", "SO-0044", "SO-0045", "k1"])
def test_what_must_not_go_out_is_refused_before_anybody_is_asked(planned: Surroundings, text: str) -> None:
    result = run(text, "--send", "--yes")
    assert (result.exit_code, planned.simulator.events()) == (1, [])
    assert "Nothing is sent" in result.output
    assert planned.written() == 0


def test_a_rehearsal_sends_nothing(planned: Surroundings) -> None:
    planned.configure(CONFIGURATION + "delivery: {mode: rehearse}\n")
    result = run("SO-0042", "--send", "--yes")
    assert (result.exit_code, planned.simulator.events()) == (1, [])
    assert "delivery.mode is rehearse" in result.output


def test_without_a_terminal_nothing_is_sent_unless_it_was_said_before(planned: Surroundings) -> None:
    assert (run("SO-0042", "--send").exit_code, planned.simulator.events()) == (2, [])


@pytest.mark.parametrize(("answer", "events"), [("y\n", 1), ("n\n", 0)])
def test_on_a_terminal_it_asks(planned: Surroundings, monkeypatch: pytest.MonkeyPatch, answer: str, events: int) -> None:
    monkeypatch.setattr(tracing, "is_terminal", lambda: True)
    result = run("SO-0042", "--send", answer=answer)
    assert f"Send it to {planned.simulator.url}/event, customer ID 123456789?" in result.output
    assert len(planned.simulator.events()) == events


def test_a_refused_token_settles_nothing(planned: Surroundings) -> None:
    planned.connect("webflow_default", conn_type="webflow", host=planned.simulator.url, login="123456789", password="wrong-token")
    result = run("SO-0042", "--send", "--yes")
    assert (result.exit_code, planned.simulator.events()) == (1, [])
    assert planned.sql("SELECT state FROM webflow.conversions") == [("ready",)]


def test_without_a_ledger_of_this_release_nothing_is_sent(with_more: Surroundings) -> None:
    result = run("SO-0042", "--send", "--yes")
    assert (result.exit_code, with_more.simulator.events()) == (1, [])
    assert "the plan task of the next run makes them" in result.output


def test_the_next_run_sends_the_others(planned: Surroundings) -> None:
    run("SO-0042", "--send", "--yes")
    planned.plan()
    planned.extract()
    for work in planned.identify():
        planned.push(work).execute(planned.context())
    assert {event["action_id"].rpartition("/")[2] for event in planned.simulator.events()} == {"SO-0042", "c1"}
    assert len(planned.simulator.events()) == 2
