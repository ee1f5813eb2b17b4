"""The guards look at what earlier runs really sent, and keep looking at it as long as they stop runs."""

from datetime import timedelta
from decimal import Decimal

import pytest

from demo.simulator import SimulatorProcess
from tests.night import DESTINATION, NOW, Night
from webflow_conversions.configuration import Guards
from webflow_conversions.errors import Stopped
from webflow_conversions.pipeline.guards import Limits, objections
from webflow_conversions.pipeline.reconciliation import counts, source_counts
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.verdict import Verdict

HOUR = timedelta(hours=1)


def sales(night: Night, rows: int, *, name: str, value: str = "10", key: str = "k1") -> None:
    night.sql(
        "INSERT INTO sales SELECT %s || g, %s, %s, %s FROM generate_series(1, %s) g",
        name,
        night.clock.at - HOUR,
        key,
        value,
        rows,
    )


def objected(night: Night, run: Run, **limits: float | None) -> list[str]:
    """What the guards say of a run, and approve it if that is nothing: as identify does."""
    now = source_counts(night.runs.accounts(run, {DESTINATION: run.sources}, night.clock.at))
    guards = Limits(**{**Guards().model_dump(), **limits})
    found = objections(now, night.runs.earlier(run), guards, whole_window=True)
    if not found:
        night.runs.approve(run)
    return found


def reconcile(night: Night, run: Run) -> None:
    accounts = night.runs.accounts(run, {DESTINATION: run.sources}, night.clock.at)
    night.runs.end(run, night.verdict(run), counts(accounts, night.runs.pushes(run)))


@pytest.fixture
def usual(night: Night, simulator: SimulatorProcess) -> Night:
    """Three nights of 40 conversions worth 10.00 each."""
    night.person()
    for number in range(3):
        sales(night, 40, name=f"night {number} ")
        run = night.read(f"night {number}")
        assert objected(night, run, min_rows=20) == []
        night.push(run, simulator.url)
        reconcile(night, run)
    return night


def test_a_night_like_the_others_is_let_send(usual: Night, simulator: SimulatorProcess) -> None:
    sales(usual, 50, name="tonight ")
    run = usual.begin("tonight")
    usual.extract(run)
    assert objected(usual, run, min_rows=20) == []
    assert usual.push(run, simulator.url).accepted == 50


def test_many_times_the_usual_volume_is_stopped_before_a_request_leaves(usual: Night, simulator: SimulatorProcess) -> None:
    sales(usual, 201, name="tonight ")
    run = usual.begin("tonight")
    usual.extract(run)
    (sentence,) = objected(usual, run, min_rows=20)
    assert sentence == (
        "sales has 201 conversions to send, more than 5 times the 40 of its fullest of the last 3 runs (guards.volume_factor)"
    )
    with pytest.raises(Stopped, match="not approved for sending"):
        usual.push(run, simulator.url)
    assert len(simulator.events()) == 120


def test_cents_taken_for_dollars_are_stopped_in_a_few_conversions(usual: Night) -> None:
    sales(usual, 12, name="tonight ", value="1000")
    run = usual.begin("tonight")
    usual.extract(run)
    (sentence,) = objected(usual, run)
    assert "worth 1,000.00 each, more than 10 times the 10.00 of its dearest" in sentence


def test_a_source_that_suddenly_returns_nothing_is_stopped_night_after_night_until_it_is_forced(usual: Night) -> None:
    usual.sql("DELETE FROM sales")
    for number in range(9):
        run = usual.begin(f"empty {number}")
        usual.extract(run)
        assert objected(usual, run) == [
            "sales returned no rows at all, and in each of the last 3 runs it did (guards.empty_source)"
        ]
        reconcile(usual, run)
    usual.runs.approve(run)
    reconcile(usual, run)
    run = usual.begin("after a forced one")
    usual.extract(run)
    assert objected(usual, run) == []


def test_what_is_usual_is_not_forgotten_while_runs_are_stopped(usual: Night) -> None:
    sales(usual, 300, name="tonight ")
    for number in range(9):
        run = usual.begin(f"stopped {number}")
        usual.extract(run)
        assert len(objected(usual, run)) == 1
        reconcile(usual, run)


def test_dry_runs_and_other_dags_say_nothing_about_what_is_usual(usual: Night) -> None:
    sales(usual, 300, name="tonight ")
    for number in range(3):
        run = usual.begin(f"dry {number}", dry_run=True)
        usual.runs.approve(run)
        usual.runs.end(run, Verdict(), {"sources": {"sales": {"read": {"rows": 300}, "sent": {"rows": 300, "value": "3000"}}}})
    usual.runs = type(usual.runs)(usual.session, "another Dag")
    assert usual.runs.earlier(usual.begin("other")) == {}
    usual.runs = type(usual.runs)(usual.session, "nightly")
    run = usual.begin("tonight")
    usual.extract(run)
    assert len(objected(usual, run)) == 1


def test_the_last_seven_runs_are_looked_at(usual: Night) -> None:
    for number in range(7):
        run = usual.begin(f"week {number}")
        usual.runs.approve(run)
        usual.runs.end(
            run, Verdict(), {"sources": {"sales": {"read": {"rows": 1}, "sent": {"rows": number, "value": f"{number}.50"}}}}
        )
    (earlier,) = usual.runs.earlier(usual.begin("tonight")).values()
    assert [run.sent.rows for run in earlier] == [6, 5, 4, 3, 2, 1, 0]
    assert [run.sent.value for run in earlier] == [Decimal(number) + Decimal("0.50") for number in range(6, -1, -1)]


def test_more_than_a_share_of_rejected_rows_is_stopped_in_the_first_run_already(night: Night) -> None:
    night.person()
    sales(night, 100, name="good ")
    sales(night, 101, name="bad ", value="-1")
    run = night.begin()
    night.extract(run)
    assert objected(night, run) == ["101 of 201 conversions of sales are rejected (50%), more than 50% (guards.rejected_share)"]


def test_a_run_that_is_tried_again_from_plan_on_is_judged_anew(usual: Night, simulator: SimulatorProcess) -> None:
    run = usual.begin("night 2")
    assert usual.sql("SELECT approved_at FROM webflow.runs WHERE id = %s", run.id) == [(None,)]
    with pytest.raises(Stopped, match="not approved for sending"):
        usual.push(run, simulator.url)


def test_nothing_is_in_the_window_of_the_guards_that_is_not_in_that_of_the_run(usual: Night) -> None:
    assert NOW == usual.clock.at
    sales(usual, 300, name="tonight ")
    usual.sql("UPDATE sales SET occurred_at = occurred_at - interval '48 hours' WHERE conversion_id LIKE 'tonight%%'")
    run = usual.begin("tonight")
    usual.extract(run)
    assert objected(usual, run) == []
