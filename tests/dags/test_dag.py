"""The Dag's file: what reading it takes, and what the Dag promises before it runs."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, RetryAction, TriggerRule
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

from demo.airflow_stack import REPOSITORY
from webflow_conversions import errors, timetable
from webflow_conversions.operators.base import ConversionsOperator
from webflow_conversions.timetable import NightTimetable

DAG_ID = "webflow_offsite_conversions"
DAG_FILE = REPOSITORY / "dags" / f"{DAG_ID}.py"
TASKS = ("plan", "extract", "identify", "push", "reconcile")


def frozen_at(moment: datetime) -> type[datetime]:
    """The class ``datetime`` of a module whose clock stands."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return moment

    return Frozen


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(DAG_FILE.parent)
    assert bag.import_errors == {}
    assert set(bag.dags) == {DAG_ID, f"{DAG_ID}_readback"}
    return bag.dags[DAG_ID]


# Reading the file

READING = """
import json, sys

touched = []
WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "sqlite3.connect", "subprocess.Popen", "os.system")

import airflow.sdk, airflow.sdk.definitions.deadline, airflow.timetables.trigger

sys.addaudithook(lambda event, arguments: touched.append([event, repr(arguments)]) if event in WATCHED else None)
known = set(sys.modules)
namespace = {"__name__": "dag_file", "__file__": sys.argv[1]}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), namespace)

print(json.dumps({"touched": touched, "imported": sorted(set(sys.modules) - known), "dag_id": namespace["dag"].dag_id}))
"""


@pytest.fixture(scope="module")
def reading() -> dict[str, Any]:
    """What a new process does when it reads the Dag's file, besides importing Airflow's SDK."""
    done = subprocess.run(
        [sys.executable, "-c", READING, DAG_FILE],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
        capture_output=True,
        check=True,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_reading_the_file_opens_no_connection_and_starts_no_program(reading: dict[str, Any]) -> None:
    assert reading["dag_id"] == DAG_ID
    assert reading["touched"] == []


@pytest.mark.parametrize(
    "slow", ["pandas", "numpy", "psycopg2", "psycopg", "pycurl", "requests", "airflow.providers.common", "airflow.models"]
)
def test_reading_the_file_does_not_import_what_only_tasks_need(reading: dict[str, Any], slow: str) -> None:
    assert [name for name in reading["imported"] if name == slow or name.startswith(f"{slow}.")] == []


def test_reading_the_file_imports_nothing_but_airflow_this_package_and_asgiref(reading: dict[str, Any]) -> None:
    """So that its time cannot grow unseen."""
    parts = {name.partition(".")[0] for name in reading["imported"]} - set(sys.stdlib_module_names)
    assert parts <= {"airflow", "asgiref", "webflow_conversions"}


def test_reading_the_file_again_gives_the_same_dag(dag: DAG) -> None:
    """A Dag that depends on the clock would be a new version each time that Airflow reads it."""
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagBag(DAG_FILE.parent).dags[DAG_ID]
    assert json.dumps(DagSerialization.to_dict(again), sort_keys=True) == json.dumps(
        DagSerialization.to_dict(dag), sort_keys=True
    )


# The schedule


class Scheduler:
    """What Airflow's scheduler asks the timetable, and when."""

    def __init__(self, dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
        self._timetable: Any = dag.timetable
        self._restriction = TimeRestriction(earliest=pendulum.instance(dag.start_date), latest=None, catchup=dag.catchup)
        self._now = pendulum.datetime(2026, 3, 10, 13)
        self._last: DataInterval | None = None
        monkeypatch.setattr(timetable, "datetime", SimpleNamespace(now=lambda _: self._now))
        monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: self._now)

    def next(self, now: pendulum.DateTime | None = None) -> DagRunInfo:
        """The next run, asked for at a moment, by default a second after the last one was due."""
        self._now = now or (self._last.end.add(seconds=1) if self._last else self._now)
        info: DagRunInfo = self._timetable.next_dagrun_info(
            last_automated_data_interval=self._last, restriction=self._restriction
        )
        self._last = info.data_interval
        return info


@pytest.fixture
def scheduler(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    return Scheduler(dag, monkeypatch)


def test_the_dag_runs_at_22_00_and_at_23_15_each_night(scheduler: Scheduler) -> None:
    due = [scheduler.next().run_after.format("DD HH:mm") for _ in range(6)]
    assert due == ["09 23:15", "10 22:00", "10 23:15", "11 22:00", "11 23:15", "12 22:00"]


def test_after_a_day_out_of_order_only_the_latest_run_is_made_up_for(scheduler: Scheduler) -> None:
    scheduler.next()
    assert scheduler.next(pendulum.datetime(2026, 3, 13, 22, 30)).run_after.format("DD HH:mm") == "13 22:00"
    assert scheduler.next().run_after.format("DD HH:mm") == "13 23:15"


def test_the_data_interval_of_a_run_is_the_two_days_up_to_its_start(scheduler: Scheduler) -> None:
    for _ in range(3):
        info = scheduler.next()
        assert info.data_interval == DataInterval(info.run_after.subtract(hours=48), info.run_after)
        assert info.logical_date == info.data_interval.start


def test_the_timetable_survives_its_way_through_the_database(dag: DAG) -> None:
    kept = NightTimetable.deserialize(dag.timetable.serialize())
    assert kept.serialize() == dag.timetable.serialize()
    assert kept.summary == "0 22 * * *, 15 23 * * *"


def test_runs_neither_catch_up_nor_overlap(dag: DAG) -> None:
    assert (dag.catchup, dag.max_active_runs) == (False, 1)


# The wiring


def test_the_tasks_follow_each_other(dag: DAG) -> None:
    assert set(dag.task_ids) == set(TASKS)
    assert {task.task_id: task.downstream_task_ids & set(TASKS) for task in dag.tasks} == {
        "plan": {"extract", "identify", "push", "reconcile"},
        "extract": {"identify"},
        "identify": {"push"},
        "push": {"reconcile"},
        "reconcile": set(),
    }


def test_a_source_that_cannot_be_read_keeps_no_other_from_going_out_and_is_reported(dag: DAG) -> None:
    rules = {task_id: dag.get_task(task_id).trigger_rule for task_id in TASKS}
    some = TriggerRule.ALL_DONE_MIN_ONE_SUCCESS
    assert rules == {"plan": "all_success", "extract": "all_success", "identify": some, "push": "all_success", "reconcile": some}


@pytest.mark.parametrize("task_id", TASKS)
def test_every_task_has_an_owner_and_retries_that_back_off(dag: DAG, task_id: str) -> None:
    task = dag.get_task(task_id)
    assert task.owner == "marketing-data"
    assert task.retries == 3
    assert task.retry_delay == timedelta(seconds=30)
    assert task.retry_exponential_backoff
    assert task.max_retry_delay == timedelta(minutes=5)


@pytest.mark.parametrize("task_id", TASKS)
@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.Unusable("wrong"), RetryAction.FAIL),
        (errors.Stopped("refused"), RetryAction.FAIL),
        (errors.Unfinished("open"), RetryAction.FAIL),
        (errors.InDoubt("lost"), RetryAction.FAIL),
        (errors.Unavailable("away"), RetryAction.DEFAULT),
        (MemoryError(), RetryAction.DEFAULT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_only_what_time_can_heal_is_tried_again(dag: DAG, task_id: str, error: Exception, action: RetryAction) -> None:
    assert dag.get_task(task_id).retry_policy.evaluate(error, try_number=1, max_tries=3).action is action


def test_the_classes_that_the_retry_policy_names_exist(dag: DAG) -> None:
    for rule in dag.get_task("plan").retry_policy.rules:
        for name in rule.exception:
            module, _, attribute = name.rpartition(".")
            assert issubclass(getattr(import_module(module), attribute), errors.ConversionsError)


@pytest.mark.parametrize("task_id", TASKS)
def test_every_template_field_is_there_to_be_filled(dag: DAG, task_id: str) -> None:
    task = dag.get_task(task_id)
    operator = task.operator_class if task.is_mapped else type(task)
    assert issubclass(operator, ConversionsOperator)
    given = {**task.partial_kwargs, **task.expand_input.value} if task.is_mapped else vars(task)
    assert set(operator.template_fields) <= {*given, "config_path", "ledger_conn_id"}


# What people see


def test_the_form_asks_for_a_date_with_a_date_picker(dag: DAG) -> None:
    date = dag.params.get_param("date")
    assert date.value is None
    assert (date.schema["type"], date.schema["format"]) == (["null", "string"], "date")


@pytest.mark.parametrize(("name", "default"), [("date", None), ("sources", None), ("dry_run", False), ("force", False)])
def test_every_parameter_is_explained_and_has_a_safe_default(dag: DAG, name: str, default: Any) -> None:
    assert set(dag.params) == {"date", "sources", "dry_run", "force"}
    param = dag.params.get_param(name)
    assert param.value == default
    assert param.schema["title"]
    assert param.description.endswith(".")


def test_the_dags_page_says_what_to_do_when_a_task_fails(dag: DAG) -> None:
    _, found, triage = dag.doc_md.partition("#### Triage")
    assert found
    for task_id in TASKS:
        assert f"**{task_id} failed**" in triage


# The deadline


def deadline_of(dag: DAG, run_type: str, run_after: datetime) -> datetime | None:
    """The deadline that the scheduler gives to a run, by what it keeps of the Dag in its database."""
    (alert,) = dag.deadline
    kept = decode_deadline_alert(json.loads(json.dumps(encode_deadline_alert(alert))))
    session: Any = SimpleNamespace(execute=lambda _: SimpleNamespace(one=lambda: (run_type, run_after)))
    found: datetime | None = kept.reference.evaluate_with(session=session, interval=kept.interval, dag_id=DAG_ID, run_id="r")
    return found


@pytest.mark.parametrize("due", [time(22, 0), time(23, 15)], ids=str)
def test_each_scheduled_run_has_one_deadline_and_it_leaves_time_before_the_import(
    dag: DAG, monkeypatch: pytest.MonkeyPatch, due: time
) -> None:
    run_after = datetime.combine(datetime(2026, 3, 10), due, UTC)
    monkeypatch.setattr(timetable, "datetime", frozen_at(run_after))

    assert deadline_of(dag, "scheduled", run_after) == datetime(2026, 3, 10, 23, 40, tzinfo=UTC)


@pytest.mark.parametrize("run_type", ["manual", "backfill", "asset_triggered"])
def test_a_run_that_nobody_waits_for_has_no_deadline(dag: DAG, monkeypatch: pytest.MonkeyPatch, run_type: str) -> None:
    run_after = datetime(2026, 3, 10, 22, tzinfo=UTC)
    monkeypatch.setattr(timetable, "datetime", frozen_at(run_after))

    assert deadline_of(dag, run_type, run_after) is None


@pytest.mark.parametrize(("minutes_late", "has_one"), [(44, True), (45, False), (60 * 24, False)])
def test_a_run_that_is_made_up_for_when_its_import_is_over_has_no_deadline(
    dag: DAG, monkeypatch: pytest.MonkeyPatch, minutes_late: int, has_one: bool
) -> None:
    run_after = datetime(2026, 3, 10, 23, 15, tzinfo=UTC)
    monkeypatch.setattr(timetable, "datetime", frozen_at(run_after + timedelta(minutes=minutes_late)))

    assert (deadline_of(dag, "scheduled", run_after) is not None) is has_one


def test_the_deadline_looks_at_every_run_of_the_night(dag: DAG) -> None:
    assert [alert.callback.kwargs for alert in dag.deadline] == [{"since": "22:00", "dag_file": "webflow_offsite_conversions.py"}]


# The plugins folder

SCAN = """
import json, sys
from airflow import plugins_manager

plugins, errors = plugins_manager._get_plugins()
print(json.dumps({"plugins": [p.name for p in plugins if "webflow" in str(p.name)], "errors": errors, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def scan() -> dict[str, Any]:
    """What a new process has after Airflow has scanned the plugins folder."""
    done = subprocess.run([sys.executable, "-c", SCAN], capture_output=True, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_airflow_finds_the_plugin_and_nothing_else(scan: dict[str, Any]) -> None:
    assert scan["errors"] == {}
    assert scan["plugins"] == ["webflow"]


def test_the_scan_does_not_run_the_packages_files_as_modules_of_their_own(scan: dict[str, Any]) -> None:
    files = {path.stem for path in (REPOSITORY / "plugins" / "webflow_conversions").rglob("*.py")} - {"__init__", "__main__"}
    packages = {module.partition(".")[0] for module in scan["modules"]}
    assert {"evaluation", "reconciliation", "libcurl"} <= files
    assert files & packages - set(sys.stdlib_module_names) == set()


HOSTILE = ["{{ 7 * 7 }}", "{% include 'conversions.html' %}", "/etc/hostname.html", "['a']", "41", "{{ ti.task_id }}\nnext line"]


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("task_id", ["extract", "identify", "push", "reconcile"])
def test_what_a_task_gets_from_another_is_data_and_no_template(task_id: str, words: str) -> None:
    """Airflow renders template fields; what comes out of an XCom it is to leave alone, in mapped tasks, too."""
    dag = DagBag(DAG_FILE.parent).dags[DAG_ID]  # Rendering changes its tasks.
    run = {"run_id": words, "sources": [words], "window": {"start": words}}
    work = {"destination": words, "sources": [words], "worker": 0}
    pulled = {("plan", "run"): run, ("plan", "return_value"): [words], ("identify", "return_value"): [work]}
    ti = SimpleNamespace(
        map_index=0,
        task=dag.get_task(task_id),
        xcom_pull=lambda *, task_ids, key, **_: pulled[task_ids, key],
        get_relevant_upstream_map_indexes=lambda **_: None,
        _upstream_map_indexes={"plan": None, "identify": None},
    )
    dag_run = SimpleNamespace(run_id=words, conf={})
    context: Any = {"ti": ti, "task": ti.task, "dag": dag, "dag_run": dag_run, "run_id": words, "params": {}}

    ti.task.render_template_fields(context)

    task = context["task"]
    assert task.plan == run
    assert getattr(task, "source", words) == words
    assert getattr(task, "work", work) == work
