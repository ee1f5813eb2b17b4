"""The callbacks of the deadline, of a failed run and of recovery: who is told what, once; with the ledger as it is, or away."""

import asyncio
import json
import traceback
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from airflow.sdk import DAG, BaseNotifier

from demo.postgres import USER, free_port
from tests.surroundings import CONFIGURATION, TWO_SOURCES, Surroundings
from webflow_conversions import notify
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.errors import Unavailable, Unfinished, Unusable
from webflow_conversions.operators import notices
from webflow_conversions.pipeline.causes import CAUSES, Cause, Level
from webflow_conversions.pipeline.verdict import Finding, Verdict
from webflow_conversions.rules.amounts import Amount

DUE = datetime(2026, 11, 23, 23, 40, tzinfo=UTC)
RUN_AFTER = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
SWEEP_AFTER = RUN_AFTER + timedelta(minutes=75)
UNSENT = Finding(cause=Cause.NOT_SENT, level=Level.FAILED, source="sales", sentence="sales: 1 ready, not sent")
RUN = "scheduled__2026-11-21T23:15:00+00:00"
TOLD: list[tuple[str, str]] = []
GIVEN: list[dict[str, Any]] = []


class Teller(BaseNotifier):
    """A notifier as people write them."""

    template_fields = ("text",)

    def __init__(self, text: str = "{{ subject }}", *, is_broken: bool = False) -> None:
        super().__init__()
        self.text = text
        self.is_broken = is_broken

    def notify(self, context: Any) -> None:
        if self.is_broken:
            answer = requests.Response()
            answer.status_code = 403
            raise requests.HTTPError(f"403 for url: {self.text}", response=answer)
        TOLD.append((self.text, context["message"]))
        GIVEN.append(dict(context))


class Variables(dict[str, str]):
    """Airflow's variables, as a task sees them."""

    def get(self, key: str, default: Any = None, deserialize_json: bool = False) -> Any:
        return (json.loads(self[key]) if deserialize_json else self[key]) if key in self else default

    def set(self, key: str, value: Any, description: str | None = None, serialize_json: bool = False) -> None:
        self[key] = json.dumps(value) if serialize_json else value


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    kept = Variables()
    monkeypatch.setattr(notices, "Variable", kept)
    TOLD.clear()
    GIVEN.clear()
    return kept


@pytest.fixture
def evening(around: Surroundings, variables: Variables, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    """A scheduled run that read one conversion, and a clock at the deadline."""
    around.configure(CONFIGURATION + f"notices:\n  - notifier: {__name__}.Teller\n")
    around.run_id = RUN
    around.plan()
    around.extract()
    due_at(around, RUN_AFTER)
    set_clock(monkeypatch, DUE + timedelta(seconds=3))
    return around


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(notices, "now", lambda: moment)


def warn(*, run_type: str = "scheduled", deadline: datetime = DUE, run_after: datetime = RUN_AFTER) -> str:
    dag_run = {"dag_id": "nightly", "dag_run_id": RUN, "run_type": run_type, "run_after": run_after.isoformat()}
    context = {"dag_run": dag_run, "deadline": {"deadline_time": deadline.isoformat()}}
    return asyncio.run(notices.warn_at_deadline(context, "22:00"))


def ended(run_id: str = RUN, pulled: Any = (), **tasks: str) -> dict[str, Any]:
    """The context of a callback of a run; ``pulled`` is what its tasks pushed as to why they failed."""
    states = {run_id: tasks}
    ti = SimpleNamespace(get_task_states=lambda _, **__: states, xcom_pull=lambda **_: list(pulled))
    return {"dag": DAG("nightly", schedule=None), "run_id": run_id, "ti": ti}


def due_at(around: Surroundings, moment: datetime, run_id: str | None = None) -> None:
    """The run, by default the one of the evening, was due then."""
    around.sql(f"UPDATE webflow.runs SET window_end = '{moment}' WHERE run_id = '{run_id or around.run_id}'")


def complete(around: Surroundings) -> None:
    """A run from identify on."""
    for work in around.identify():
        around.push(work).execute(around.context())
    around.reconcile()


def at_stake_at(around: Surroundings, moment: datetime) -> None:
    """What was read happened an hour before."""
    around.sql(f"UPDATE webflow.conversions SET action_timestamp_ms = {int(moment.timestamp() * 1000) - 3_600_000}")


def test_the_deadline_is_told_once_a_night_with_rows_and_reason(evening: Surroundings, variables: Variables) -> None:
    at_stake_at(evening, DUE)
    subject = "Webflow: 1 conversion (0.00) will miss tonight's import"

    assert warn() == subject
    assert warn() == "silent: told already"

    ((text, message),) = TOLD
    assert text == subject
    assert "1 conversion (0.00) will miss Webflow's import at 00:00 UTC" in message
    assert variables["nightly.deadline_told"] == "2026-11-23"


@pytest.mark.parametrize(
    ("late", "run_type", "deadline"),
    [
        (timedelta(seconds=3), "manual", DUE),
        (timedelta(seconds=3), "backfill", DUE),
        (timedelta(days=3), "scheduled", DUE),
    ],
    ids=["by hand", "backfill", "of another night"],
)
def test_the_deadline_is_silent(
    evening: Surroundings, monkeypatch: pytest.MonkeyPatch, late: timedelta, run_type: str, deadline: datetime
) -> None:
    at_stake_at(evening, DUE)
    set_clock(monkeypatch, DUE + late)

    assert warn(run_type=run_type, deadline=deadline).startswith("silent: not ")
    assert TOLD == []


def test_the_deadline_is_silent_where_nothing_is_at_stake(evening: Surroundings) -> None:
    evening.sql("UPDATE webflow.conversions SET state = 'accepted'")
    evening.sql("UPDATE webflow.runs SET ended_at = now(), verdict = NULL")

    assert warn() == "silent: nothing is at stake"
    assert TOLD == []


def test_the_deadline_of_a_run_that_failed_is_silent_once_a_later_one_sent_everything(
    evening: Surroundings, variables: Variables
) -> None:
    evening.sql("DELETE FROM webflow.conversions; DELETE FROM webflow.extractions; DELETE FROM webflow.runs")
    assert warn() == "Webflow: An unknown number of conversions will miss tonight's import"
    variables.clear()

    evening.run_id = "scheduled__later"
    evening.plan()
    evening.extract()
    complete(evening)
    due_at(evening, SWEEP_AFTER)

    assert warn() == "silent: nothing is at stake"


@pytest.mark.parametrize("instead", ["is_whole = false", "window_end = window_end - interval '9 hours'"])
def test_a_run_that_does_not_send_all_that_is_due_tonight_calms_nobody(evening: Surroundings, instead: str) -> None:
    evening.sql("UPDATE webflow.conversions SET state = 'accepted'")
    evening.sql(f"UPDATE webflow.runs SET ended_at = now(), verdict = NULL, {instead}")

    assert warn() == "Webflow: An unknown number of conversions will miss tonight's import"


def test_what_a_run_foresaw_before_it_was_cleared_from_plan_on_calms_nobody(evening: Surroundings) -> None:
    complete(evening)
    nothing = Waiting(total=Amount(), late=Amount(), expiring=Amount())
    foreseen = Forecast(at=RUN_AFTER, stands_until=RUN_AFTER + timedelta(minutes=1), rows_per_second=0.0, waiting=nothing)
    evening.sql(f"UPDATE webflow.runs SET forecast = '{json.dumps({'webflow_default': foreseen.to_json()})}'")
    evening.sql("INSERT INTO sales VALUES ('c2', now() - interval '1 hour', 'k1')")

    evening.plan()
    evening.extract()
    at_stake_at(evening, DUE)

    due_at(evening, RUN_AFTER)
    assert evening.sql("SELECT forecast, counts FROM webflow.runs") == [(None, {})]
    assert warn() == "Webflow: 1 conversion (0.00) will miss tonight's import"


@pytest.mark.parametrize("has_sweep_begun", [False, True])
def test_a_sweep_that_could_not_begin_before_the_deadline_alarms_nobody_if_the_run_before_it_is_complete(
    evening: Surroundings, monkeypatch: pytest.MonkeyPatch, has_sweep_begun: bool
) -> None:
    complete(evening)
    if has_sweep_begun:
        evening.run_id = "scheduled__sweep"
        evening.plan()
        due_at(evening, SWEEP_AFTER)
    set_clock(monkeypatch, DUE + timedelta(minutes=8))

    assert warn(run_after=SWEEP_AFTER) == "silent: nothing is at stake"


def test_what_the_first_run_could_not_read_is_told_at_the_deadline_of_a_sweep_that_could_not_begin(evening: Surroundings) -> None:
    complete(evening)
    evening.sql("UPDATE webflow.extractions SET ended_at = NULL")

    assert warn(run_after=SWEEP_AFTER) == "Webflow: An unknown number of conversions will miss tonight's import"
    assert "Not read so far: sales." in TOLD[0][1]


def test_what_the_first_run_could_not_read_and_the_sweep_has_not_read_either_is_told(
    evening: Surroundings, variables: Variables
) -> None:
    complete(evening)
    evening.sql("UPDATE webflow.extractions SET ended_at = NULL")
    evening.run_id = "scheduled__sweep"
    evening.plan()
    due_at(evening, SWEEP_AFTER)

    assert warn() == "Webflow: An unknown number of conversions will miss tonight's import"
    variables.clear()
    evening.extract()
    assert warn() == "silent: nothing is at stake"


def test_a_run_by_hand_for_some_sources_calms_nobody_about_the_others(evening: Surroundings) -> None:
    evening.configure(TWO_SOURCES)
    evening.plan()
    evening.extract()
    evening.run_id, evening.run_type = "manual__some", "manual"
    evening.plan(sources=["sales"])
    evening.extract()
    due_at(evening, RUN_AFTER)
    evening.sql("UPDATE webflow.conversions SET state = 'accepted'")

    assert warn() == "Webflow: An unknown number of conversions will miss tonight's import"


def test_what_is_in_doubt_is_told_with_what_waits(evening: Surroundings) -> None:
    evening.sql("INSERT INTO sales VALUES ('c2', now() - interval '1 hour', 'k1')")
    evening.extract()
    at_stake_at(evening, DUE)
    evening.sql("UPDATE webflow.conversions SET state = 'sending', reason = 'in_doubt' WHERE conversion_id = 'c2'")

    assert warn().startswith("Webflow: 1 conversion (0.00)")
    assert "In doubt, since the answer was lost or leaves it open: 1 conversion" in TOLD[0][1]


def test_a_ledger_that_is_away_at_the_deadline_is_told(evening: Surroundings) -> None:
    evening.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")

    warn()

    assert "The ledger's database does not answer" in TOLD[0][1]


def test_a_ledger_that_was_never_made_is_told_as_a_run_that_never_began(evening: Surroundings) -> None:
    evening.sql("DROP SCHEMA webflow CASCADE")

    assert warn() == "Webflow: An unknown number of conversions will miss tonight's import"


def test_a_failure_is_told_once_and_so_is_the_recovery(evening: Surroundings, variables: Variables) -> None:
    notices.notify_of_recovery(ended())
    assert TOLD == []
    with pytest.raises(Unfinished):
        evening.reconcile()

    notices.notify_of_failure(ended(plan="success", reconcile="failed"))
    fail_again(evening, "scheduled__later")
    notices.notify_of_recovery(ended("manual__1"))
    notices.notify_of_recovery(ended("scheduled__last"))
    notices.notify_of_recovery(ended("scheduled__after"))

    assert [text for text, _ in TOLD] == [
        f"Webflow: {RUN} failed",
        "Webflow: conversions go out again since scheduled__last",
    ]
    assert TOLD[0][1].startswith("Sales: 1 conversion (0.00) ready, not sent. It is about 1 conversion (0.00). Mend the cause, ")
    assert f"Not well since: {RUN}." in TOLD[1][1]
    assert json.loads(variables["nightly.problems_told"]) == {}


def fail_again(around: Surroundings, run_id: str) -> None:
    """Another run that reconcile fails for what is ready."""
    around.run_id = run_id
    around.plan()
    around.extract()
    with pytest.raises(Unfinished):
        around.reconcile()
    notices.notify_of_failure(ended(run_id, reconcile="failed"))


def test_a_run_that_fails_for_another_cause_is_told_again(evening: Surroundings) -> None:
    fail_again(evening, "scheduled__first")
    evening.run_id = "scheduled__second"
    evening.configure(CONFIGURATION.replace("aware", "local") + f"notices:\n  - notifier: {__name__}.Teller\n")
    with pytest.raises(Unusable):
        evening.plan()
    notices.notify_of_failure(ended("scheduled__second", plan="failed"))
    fail_again_by_plan(evening, "scheduled__third")

    assert [text for text, _ in TOLD] == ["Webflow: scheduled__first failed", "Webflow: scheduled__second failed"]
    assert TOLD[1][1].startswith("Plan: The query of source sales (sql/sales.sql) does not return timezone")


def fail_again_by_plan(around: Surroundings, run_id: str) -> None:
    around.run_id = run_id
    with pytest.raises(Unusable):
        around.plan()
    notices.notify_of_failure(ended(run_id, plan="failed"))


def test_a_run_that_needs_somebody_is_another_kind_and_the_same_causes_on_the_next_night_are_not_told_again(
    evening: Surroundings,
) -> None:
    for run_id in ("scheduled__one", "scheduled__two"):
        evening.sql("UPDATE sales SET identity_key = 'nobody'")
        evening.run_id = run_id
        evening.plan()
        evening.extract()
        evening.identify()
        with pytest.raises(Unfinished, match="needs somebody"):
            evening.reconcile()
        notices.notify_of_failure(ended(run_id, reconcile="failed"))

    (given,) = GIVEN
    assert given["subject"] == "Webflow: scheduled__one needs somebody"
    assert given["severity"] == "warning"
    assert given["cause"] == "Sales: 1 conversion (0.00) are valid, and not one of their users is known."
    assert given["remedy"] == CAUSES[Cause.NOBODY_KNOWN].remedy


def test_a_notice_leads_to_the_run_and_to_the_page(evening: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/etl/")

    fail_again(evening, "scheduled__2026-11-21T22:00:00+00:00")

    (given,) = GIVEN
    run = "https://airflow.example.com/etl/dags/nightly/runs/scheduled__2026-11-21T22%3A00%3A00%2B00%3A00"
    assert given["link"] == run
    for text in (given["message"], given["html"]):
        assert run in text
        assert "https://airflow.example.com/etl/webflow/" in text


def test_each_route_is_told_of_its_kinds_and_its_sources(evening: Surroundings) -> None:
    routes = {
        "all": "",
        "failed": "on: [failed]",
        "recovered": "on: [recovered]",
        "sales": "sources: [sales]",
        "deals": "sources: [deals]",
    }
    entries = "".join(
        f"  - {{notifier: {__name__}.Teller, arguments: {{text: {name}}}, {route}}}\n" for name, route in routes.items()
    )
    evening.configure(TWO_SOURCES + "notices:\n" + entries.replace(", }", "}"))
    evening.sql("UPDATE webflow.runs SET sources = '{sales}'")
    evening.sql(f"UPDATE webflow.runs SET verdict = '{json.dumps(Verdict(findings=[UNSENT]).to_json())}', ended_at = now()")
    due_at(evening, RUN_AFTER)

    notices.notify_of_failure(ended(reconcile="failed"))
    assert [text for text, _ in TOLD] == ["all", "failed", "sales"]
    notices.notify_of_recovery(ended("scheduled__well"))
    assert [text for text, _ in TOLD[3:]] == ["all", "recovered", "sales"]
    at_stake_at(evening, DUE)
    warn()
    assert [text for text, _ in TOLD[6:]] == ["all", "sales"]


def test_a_test_notice_goes_to_every_route_whatever_it_is_told_else(evening: Surroundings) -> None:
    evening.configure(
        CONFIGURATION
        + f"notices:\n  - notifier: {__name__}.Teller\n  - {{notifier: {__name__}.Teller, on: [deadline], sources: [sales]}}\n"
    )

    assert notices.send_test_notices() == [f"{__name__}.Teller"] * 2

    assert [text for text, _ in TOLD] == [
        "Webflow: this is a test of the notices (failed)",
        "Webflow: this is a test of the notices (deadline)",
    ]
    assert all("Nothing has happened." in message for _, message in TOLD)


def test_a_failure_without_a_sentence_names_the_task(evening: Surroundings) -> None:
    notices.notify_of_failure(ended("scheduled__new", plan="failed", extract="upstream_failed"))

    assert TOLD[0][1].startswith("Plan failed and left no sentence: it was ended from outside, or could not reach the ledger.")


def test_with_the_ledger_away_the_sentence_that_the_task_told_airflow_is_told(evening: Surroundings) -> None:
    evening.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")
    with pytest.raises(Unavailable):
        evening.plan()

    notices.notify_of_failure(ended(pulled=[evening.xcoms["failure"], None]))

    assert TOLD[0][1].startswith("Plan: The ledger's database does not answer: ")


def test_a_failure_with_the_ledger_away_says_so(evening: Surroundings) -> None:
    evening.connect("webflow_ledger", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="ledger")
    context = ended()
    del context["ti"]

    notices.notify_of_failure(context)

    assert "The ledger's database does not answer" in TOLD[0][1]


def test_a_run_by_hand_that_fails_tells_nobody(evening: Surroundings, variables: Variables) -> None:
    notices.notify_of_failure(ended("manual__1", plan="failed"))

    assert TOLD == []
    assert variables == {}


def test_one_notifier_that_fails_keeps_nothing_from_the_others(evening: Surroundings, variables: Variables) -> None:
    evening.configure(
        CONFIGURATION
        + f"notices:\n  - {{notifier: {__name__}.Teller, arguments: {{is_broken: true}}}}\n  - notifier: {__name__}.Teller\n"
    )

    with pytest.raises(ExceptionGroup, match="not everybody was told"):
        notices.notify_of_failure(ended(plan="failed"))

    assert len(TOLD) == 1
    assert variables == {}


def test_the_error_of_a_notifier_is_told_without_the_address_of_its_webhook(
    evening: Surroundings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "{text: 'https://hooks.example.com/T0/canary', is_broken: true}"
    evening.configure(CONFIGURATION + f"notices: [{{notifier: {__name__}.Teller, arguments: {arguments}}}]\n")

    with pytest.raises(ExceptionGroup) as raised:
        notices.notify_of_failure(ended(plan="failed"))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    with pytest.raises(SystemExit) as ended_with:
        notify.main(["--test"])

    told = "".join(traceback.format_exception(raised.value))
    assert "code 403, HTTPError" in told
    assert "code 403, HTTPError" in str(ended_with.value)
    assert "code 403, HTTPError" in caplog.text
    assert "in notify" in caplog.text, "the log says where it comes from"
    assert "canary" not in f"{told} {ended_with.value} {caplog.text}"


def test_without_notifiers_the_log_says_it(evening: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    evening.configure(CONFIGURATION)

    notices.notify_of_failure(ended(plan="failed"))

    assert f"Webflow: {RUN} failed" in caplog.text


# Rehearsals


REHEARSE = "delivery: {mode: rehearse}\n"


def rehearse(around: Surroundings) -> None:
    """The configuration says that nothing leaves."""
    around.configure((around.folder / "conversions.yaml").read_text() + REHEARSE)


def test_the_deadline_alarms_nobody_in_a_rehearsal(evening: Surroundings) -> None:
    at_stake_at(evening, DUE)
    rehearse(evening)

    assert warn() == "silent: in a rehearsal nothing is to be sent"
    assert TOLD == []


def test_who_goes_live_after_the_last_rehearsal_of_the_night_is_told_what_misses_the_import(evening: Surroundings) -> None:
    live = (evening.folder / "conversions.yaml").read_text()
    rehearse(evening)
    evening.plan()
    evening.extract()
    complete(evening)
    evening.configure(live)
    due_at(evening, RUN_AFTER)
    at_stake_at(evening, DUE)

    assert warn() == "Webflow: 1 conversion (0.00) will miss tonight's import"
    assert "The last run was a rehearsal and sent nothing" in TOLD[0][1]


def test_a_rehearsal_that_failed_and_one_that_is_well_again_say_that_they_are_rehearsals(evening: Surroundings) -> None:
    evening.sql("UPDATE sales SET identity_key = 'nobody'")
    rehearse(evening)
    evening.plan()
    evening.extract()
    with pytest.raises(Unfinished):
        complete(evening)
    notices.notify_of_failure(ended())
    evening.sql("UPDATE sales SET identity_key = 'k1'")
    evening.run_id = "scheduled__well"
    evening.plan()
    evening.extract()
    complete(evening)
    notices.notify_of_recovery(ended("scheduled__well"))

    (failed, message), (recovered, well) = TOLD
    assert failed == f"Webflow (rehearsal): {RUN} needs somebody"
    assert "It is a rehearsal: nothing is sent, whatever it says." in message
    assert recovered == "Webflow (rehearsal): all is well again since scheduled__well"
    assert "sent nothing" in well


def test_of_a_run_that_plan_refused_the_configuration_says_whether_it_was_a_rehearsal(evening: Surroundings) -> None:
    rehearse(evening)
    evening.run_id = "scheduled__refused"
    with pytest.raises(Unusable):
        evening.plan(sources=["nobody knows it"])

    notices.notify_of_failure(ended("scheduled__refused"))

    assert [subject for subject, _ in TOLD] == ["Webflow (rehearsal): scheduled__refused failed"]


def test_a_read_back_is_no_rehearsal(evening: Surroundings) -> None:
    rehearse(evening)

    notices.notify_of_failed_readback(ended("scheduled__2026-11-24T09:00:00+00:00", read_back="failed"), time(9, 0))

    assert [subject for subject, _ in TOLD] == ["Webflow: scheduled__2026-11-24T09:00:00+00:00 failed"]
