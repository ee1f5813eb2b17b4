"""The callbacks of the deadline, of failure and of recovery: who is told what, once; with the ledger as it is, or away."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseNotifier

from demo.postgres import USER, free_port
from tests.surroundings import CONFIGURATION, TWO_SOURCES, Surroundings
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.errors import Unfinished
from webflow_conversions.operators import notices
from webflow_conversions.rules.amounts import Amount

DUE = datetime(2026, 11, 23, 23, 40, tzinfo=UTC)
RUN_AFTER = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
SWEEP_AFTER = RUN_AFTER + timedelta(minutes=75)
RUN = "scheduled__2026-11-21T23:15:00+00:00"
TOLD: list[tuple[str, str]] = []


class Teller(BaseNotifier):
    """A notifier as people write them."""

    template_fields = ("text",)

    def __init__(self, text: str = "{{ subject }}", *, is_broken: bool = False) -> None:
        super().__init__()
        self.text = text
        self.is_broken = is_broken

    def notify(self, context: Any) -> None:
        if self.is_broken:
            raise ConnectionError("no line")
        TOLD.append((self.text, context["message"]))


class Variables(dict[str, str]):
    """Airflow's variables, as a task sees them."""

    def get(self, key: str, default: Any = None, **_: Any) -> Any:
        return super().get(key, default)

    def set(self, key: str, value: str, description: str | None = None) -> None:
        self[key] = value


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    kept = Variables()
    monkeypatch.setattr(notices, "Variable", kept)
    TOLD.clear()
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


def ended(run_id: str = RUN, **tasks: str) -> dict[str, Any]:
    """The context of a callback of a run."""
    states = {run_id: tasks}
    ti = SimpleNamespace(get_task_states=lambda _, **__: states)
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
    evening.sql("UPDATE webflow.runs SET ended_at = now(), problems = '{}'")

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
    evening.sql(f"UPDATE webflow.runs SET ended_at = now(), problems = '{{}}', {instead}")

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
    assert "In doubt, since the answer was lost: 1 conversion" in TOLD[0][1]


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
    notices.notify_of_failure(ended("scheduled__later", plan="failed"))
    notices.notify_of_recovery(ended("manual__1"))
    notices.notify_of_recovery(ended("scheduled__last"))
    notices.notify_of_recovery(ended("scheduled__after"))

    assert [text for text, _ in TOLD] == [
        f"Webflow: {RUN} failed",
        "Webflow: conversions go out again since scheduled__last",
    ]
    assert "1 conversion (0.00) ready, not sent" in TOLD[0][1]
    assert variables["nightly.broken_since"] == ""


def test_a_failure_before_the_ledger_had_a_record_names_the_task(evening: Surroundings) -> None:
    notices.notify_of_failure(ended("scheduled__new", plan="failed", extract="upstream_failed"))

    assert TOLD[0][1].startswith("plan failed: the last line of its log says why.")


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


def test_without_notifiers_the_log_says_it(evening: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    evening.configure(CONFIGURATION)

    notices.notify_of_failure(ended(plan="failed"))

    assert f"Webflow: {RUN} failed" in caplog.text
