"""The Dag of the read-back: when it runs, whom it tells, and that reading its file costs nothing."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, RetryAction
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

from demo.airflow_stack import REPOSITORY
from tests.dags.test_dag import READING
from webflow_conversions import errors
from webflow_conversions.operators import notices
from webflow_conversions.operators.base import ConversionsOperator

DAG_ID = "webflow_offsite_conversions_readback"
DAG_FILE = REPOSITORY / "dags" / f"{DAG_ID}.py"


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(DAG_FILE)
    assert bag.import_errors == {}
    assert list(bag.dags) == [DAG_ID]
    return bag.dags[DAG_ID]


def test_reading_the_file_opens_nothing_and_imports_nothing_slow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READING, DAG_FILE],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
        capture_output=True,
        check=True,
        text=True,
    )
    reading = json.loads(done.stdout.splitlines()[-1])
    assert reading["touched"] == []
    assert {"pandas", "numpy", "psycopg2", "requests", "airflow.models"}.isdisjoint(reading["imported"])


def test_the_dag_runs_at_01_30_and_at_09_00_each_day(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    now = pendulum.datetime(2026, 3, 10, 13)
    clock: dict[str, Any] = {"utcnow": lambda: now, "time": SimpleNamespace(time=lambda: float(now.timestamp()))}
    for name, stands_for in clock.items():
        monkeypatch.setattr(f"airflow.timetables.trigger.{name}", stands_for)
    restriction = TimeRestriction(earliest=pendulum.instance(dag.start_date), latest=None, catchup=dag.catchup)
    timetable: Any = coerce_to_core_timetable(dag.timetable)
    last, due = None, []
    for _ in range(4):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        due.append(info.run_after.format("DD HH:mm"))
        last, now = info.data_interval, info.run_after.add(seconds=1)
    assert due == ["10 09:00", "11 01:30", "11 09:00", "12 01:30"]


def test_runs_neither_catch_up_nor_overlap(dag: DAG) -> None:
    assert (dag.catchup, dag.max_active_runs) == (False, 1)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.Unusable("wrong"), RetryAction.FAIL),
        (errors.Unfinished("nothing shown"), RetryAction.FAIL),
        (errors.Unavailable("away"), RetryAction.DEFAULT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_only_what_time_can_heal_is_tried_again(dag: DAG, error: Exception, action: RetryAction) -> None:
    task = dag.get_task("read_back")
    assert isinstance(task, ConversionsOperator)
    assert (task.owner, task.retries, task.retry_delay) == ("marketing-data", 3, timedelta(minutes=1))
    assert task.retry_policy.evaluate(error, try_number=1, max_tries=3).action is action


def test_the_dags_page_says_what_to_do_when_the_task_fails(dag: DAG) -> None:
    assert "**read_back failed" in dag.doc_md.partition("#### Triage")[2]


@pytest.mark.parametrize(
    ("run_id", "is_told"),
    [
        ("scheduled__2026-11-24T01:30:00+00:00", False),
        ("scheduled__2026-11-24T09:00:00+00:00", True),
        ("scheduled__2026-11-24T02:30:00+01:00", False),
        ("named_by_somebody", True),
    ],
)
def test_what_is_wrong_at_01_30_alarms_nobody_and_at_09_00_it_does(
    dag: DAG, monkeypatch: pytest.MonkeyPatch, run_id: str, is_told: bool
) -> None:
    told: list[str] = []
    monkeypatch.setattr(notices, "_notify_of_failure", lambda _, **__: told.append("failed"))
    monkeypatch.setattr(notices, "_notify_of_recovery", lambda _, notice_of: told.append(notice_of("run", "since").subject))
    context: Any = {"dag": SimpleNamespace(dag_id=DAG_ID), "run_id": run_id}
    dag.on_failure_callback(context)
    dag.on_success_callback(context)
    assert told == ["failed", "Webflow: the goals show what they should again since run"] * is_told


def test_the_time_from_which_it_tells_is_that_of_its_last_run(dag: DAG) -> None:
    assert dag.on_failure_callback.keywords == dag.on_success_callback.keywords
    assert dag.on_failure_callback.keywords["tells_from"] == datetime(2026, 1, 1, 9).time()
