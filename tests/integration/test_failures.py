"""A task that fails says why: in the run's record, in an XCom and as the error that its log ends in, until it succeeds."""

import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.postgres import USER, free_port
from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID
from tests.surroundings import CONFIGURATION, Surroundings
from webflow_conversions.errors import Stopped, Unavailable, Unexpected, Unfinished, Unusable
from webflow_conversions.ledger.notices import run_causes, stake
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.ledger.session import Session
from webflow_conversions.operators.extract import ExtractConversionsOperator
from webflow_conversions.pipeline.notices import run_notice
from webflow_conversions.ui.night import AirflowRun, DagNow
from webflow_conversions.ui.status import status

REFUSED = "Webflow refuses the token (HTTP 401): put a valid off-site conversion token (Insights > Tracking settings) into "


def recorded(around: Surroundings) -> dict[str, Any]:
    """What the ledger has of the failures of the run."""
    ((failures,),) = around.sql(f"SELECT failures FROM webflow.runs WHERE run_id = '{around.run_id}'")
    return dict(failures)


def revoke(around: Surroundings) -> None:
    around.connect("webflow_default", conn_type="webflow", host=around.simulator.url, login=CUSTOMER_ID, password="revoked")


@pytest.fixture
def refused(around: Surroundings) -> Surroundings:
    """A run that went well, and a scheduled one that plan refused."""
    around.plan()
    around.extract()
    around.run_id, around.run_type = "scheduled__1", "scheduled"
    revoke(around)
    with pytest.raises(Stopped):
        around.plan()
    return around


def test_a_plan_that_refuses_says_why_in_a_record_of_its_own(refused: Surroundings) -> None:
    (row,) = refused.sql(
        "SELECT run_type, window_start, window_end, sources, is_whole, ended_at FROM webflow.runs WHERE run_id = 'scheduled__1'"
    )
    assert row == ("scheduled", None, None, [], False, None)
    failure = recorded(refused)["plan"]
    assert failure["sentence"] == f"{REFUSED}connection webflow_default."
    assert (failure["task"], failure["map_index"], failure["error"]) == ("plan", -1, "Stopped")
    assert (failure["try_number"], failure["is_last_try"]) == (1, False)
    assert refused.xcoms["failure"] == failure


def test_a_run_that_plan_refused_keeps_the_overview_and_the_notices_working(refused: Surroundings) -> None:
    now = datetime.now(UTC)
    session = Session(refused.connection)

    found = read_overview(session, "nightly", now)
    night = stake(session, "nightly", now - timedelta(hours=1), {"webflow_default": ["sales"]}, now)

    assert [run.is_opened for run in found.runs] == [False, True]
    assert found.runs[0].problems == [f"plan: {REFUSED}connection webflow_default"]
    assert found.shown is found.runs[1]
    assert read_overview(session, "nightly", now, found.runs[0].id).shown is None
    assert night.run is not None
    assert [cause.sentence for cause in run_causes(session, "nightly", "scheduled__1")] == found.runs[0].problems


def test_where_no_run_of_the_night_was_opened_plans_sentence_is_why(refused: Surroundings) -> None:
    now = datetime.now(UTC)
    refused.sql("DELETE FROM webflow.extractions; DELETE FROM webflow.runs WHERE window_end IS NOT NULL")

    night = stake(Session(refused.connection), "nightly", now - timedelta(hours=1), {"webflow_default": ["sales"]}, now)

    assert night.run is None
    assert [cause.sentence for cause in night.refused] == [f"plan: {REFUSED}connection webflow_default"]


def test_a_run_that_is_cleared_once_the_cause_is_mended_begins_anew(refused: Surroundings) -> None:
    refused.restore_destination()

    refused.plan()
    refused.extract()
    for work in refused.identify():
        refused.push(work).execute(refused.context())
    refused.reconcile()

    assert recorded(refused) == {}
    assert refused.sql("SELECT window_end IS NOT NULL, outcome FROM webflow.runs WHERE run_id = 'scheduled__1'") == [
        (True, "succeeded")
    ]


def test_a_mapped_task_says_for_which_source_it_failed_and_takes_it_back_once_it_succeeds(around: Surroundings) -> None:
    around.plan()
    around.map_index = 0
    around.sql("ALTER TABLE sales RENAME COLUMN occurred_at TO happened_at")
    with pytest.raises(Unusable) as raised:
        around.extract()

    failure = recorded(around)["extract[0]"]
    assert failure["source"] == "sales"
    assert failure["sentence"] == str(raised.value)

    around.sql("ALTER TABLE sales RENAME COLUMN happened_at TO occurred_at")
    task = ExtractConversionsOperator(task_id="extract", source="sales", plan=around.xcoms["run"])
    task.execute(around.context(try_number=2))
    assert recorded(around) == {}


def test_a_later_failure_of_a_task_takes_the_place_of_the_former(around: Surroundings) -> None:
    around.configure(CONFIGURATION + "guards: {min_rows: many}\n")
    around.sql("SELECT 1")
    for _ in range(2):
        with pytest.raises(Unusable):
            around.plan()
    around.configure(CONFIGURATION)
    around.plan()
    around.connect("warehouse", conn_type="fs")
    with pytest.raises(Unusable):
        around.extract()
    around.disconnect("warehouse")
    with pytest.raises(Unusable):
        around.extract()

    assert [failure["sentence"].partition(":")[0] for failure in recorded(around).values()] == [
        "There is no connection warehouse"
    ]


def test_the_sentence_is_raised_alone_and_what_is_behind_it_is_logged_before(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.plan()
    around.connect("warehouse", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="nowhere")
    with pytest.raises(Unavailable) as raised:
        around.extract()

    printed = "".join(traceback.format_exception(raised.value))
    assert printed.count("Traceback (most recent call last)") == 1
    assert printed.strip().splitlines()[-1] == f"webflow_conversions.errors.Unavailable: {raised.value}"
    assert "behind it: OperationalError: " in capsys.readouterr().out


def test_an_error_that_nobody_expected_is_kept_and_raised_without_data(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.plan()

    def fail(*_: Any) -> None:
        raise KeyError("user-4711")

    monkeypatch.setattr(ExtractConversionsOperator, "perform", fail)
    with pytest.raises(Unexpected) as raised:
        around.extract()

    failure = recorded(around)["extract"]
    assert (failure["error"], failure["sentence"]) == ("KeyError", str(raised.value))
    assert str(raised.value).startswith("Something unexpected happened: KeyError, in operators/base.py line ")


def test_with_the_ledger_away_the_task_fails_with_its_own_sentence_all_the_same(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")

    with pytest.raises(Unavailable, match="The ledger's database does not answer"):
        around.plan()

    assert around.xcoms["failure"]["sentence"].startswith("The ledger's database does not answer")
    assert "It could not be kept what became of this task" in capsys.readouterr().out


def test_the_run_says_the_sentence_of_its_push_before_what_reconcile_found(
    around: Surroundings, simulator: SimulatorProcess
) -> None:
    around.plan()
    around.extract()
    works = around.identify()
    revoke(around)
    for index, work in enumerate(works):
        around.map_index = index
        with pytest.raises(Stopped):
            around.push(work).execute(around.context())
    around.map_index = -1
    with pytest.raises(Unfinished) as raised:
        around.reconcile()

    sentence = recorded(around)["push[0]"]["sentence"].rstrip(".")
    assert recorded(around)["push[1]"]["sentence"] == f"{sentence}."
    assert str(raised.value).startswith(f"The run is not complete: push to webflow_default: {sentence}; sales: 1 conversion")
    found = read_overview(Session(around.connection), "nightly", datetime.now(UTC)).runs[0]
    assert [cause.sentence.partition(":")[0] for cause in found.causes] == ["push to webflow_default", "sales"]
    assert found.problems == [cause.sentence for cause in found.causes]
    assert simulator.events() == []


def test_a_push_whose_rows_another_one_sent_is_a_note(around: Surroundings) -> None:
    around.plan()
    around.extract()
    broken, well = around.identify()
    around.map_index = 1
    around.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")
    with pytest.raises(Unavailable):
        around.push(broken).execute(around.context())
    around.restore_ledger()
    around.sql(
        "UPDATE webflow.runs SET failures = jsonb_build_object('push[1]', jsonb_build_object('task', 'push', 'map_index', 1, "
        "'source', '', 'destination', 'webflow_default', 'error', 'Unavailable', 'sentence', 'Away.', 'at', now(), "
        "'try_number', 4, 'is_last_try', true))"
    )
    around.map_index = 0
    around.push(well).execute(around.context())
    around.map_index = -1

    around.reconcile()

    assert around.sql("SELECT outcome, verdict ->> 'level' FROM webflow.runs") == [("succeeded", "note")]


def test_an_api_that_answers_503_is_said_by_the_push_and_told_with_what_it_left(
    around: Surroundings, simulator: SimulatorProcess
) -> None:
    around.configure(CONFIGURATION + "delivery: {workers: 1, patience_seconds: 0.5}\n")
    around.plan()
    around.extract()
    (work,) = around.identify()
    simulator.faults([{"action": "status", "status": 503}])
    around.map_index = 0
    with pytest.raises(Unavailable):
        around.push(work).execute(around.context(try_number=4))
    around.map_index = -1
    with pytest.raises(Unfinished) as raised:
        around.reconcile()

    assert recorded(around)["push[0]"]["is_last_try"] is True
    assert "503" in recorded(around)["push[0]"]["sentence"]
    told = run_causes(Session(around.connection), "nightly", around.run_id)
    assert [cause.sentence.partition(":")[0] for cause in told] == ["push to webflow_default", "sales"]
    assert str(raised.value).index("push to webflow_default") < str(raised.value).index("ready, not sent (last trouble: HTTP 503")

    sentence = recorded(around)["push[0]"]["sentence"].rstrip(".")
    ((at,),) = around.sql("SELECT started_at FROM webflow.runs")
    run = AirflowRun(run_id=around.run_id, run_type="scheduled", state="failed", run_after=at, failed_tasks=["push", "reconcile"])
    page = status(read_overview(Session(around.connection), "nightly", at), DagNow(runs=[run]), at + timedelta(seconds=1))
    notice = run_notice(around.run_id, told)
    assert notice is not None
    for said in (" ".join((page.cause or "", page.headline, *page.details)), notice.message, str(raised.value)):
        assert sentence[1:] in said
        assert said.index("503") < said.index("ready")
        assert not ("lost" in said and "not lost" in said)
