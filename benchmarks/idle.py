"""How long a run takes that has nothing to do: all that its warehouse has was sent before."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.stage import DAG_ID, Stage


@contextmanager
def all_is_sent(folder: Path) -> Iterator[Stage]:
    """A real Airflow whose runs, the scheduler's own and one by hand, have sent what the sample's warehouse has."""
    folder.mkdir()
    with Stage(folder) as stage:
        stage.load_warehouse(datetime.now(UTC))
        stage.airflow.unpause(DAG_ID)
        for run_id in (stage.airflow.wait_for_first_run(DAG_ID), stage.airflow.trigger(DAG_ID)):
            stage.airflow.wait_for_run(DAG_ID, run_id)
        yield stage


def run(stage: Stage) -> dict[str, Any]:
    """A run by hand, from its trigger to its end by Airflow's own times; ``tasks`` has the seconds of each.

    :raises RuntimeError: it failed, or it sent something.
    """
    before = stage.simulator.summary()["events"]
    run_id = stage.airflow.trigger(DAG_ID)
    stage.airflow.wait_for_run(DAG_ID, run_id)
    ended = stage.airflow.get(f"/dags/{DAG_ID}/dagRuns/{run_id}")
    sent = stage.simulator.summary()["events"] - before
    if ended["state"] != "success" or sent:
        raise RuntimeError(f"the run ended as {ended['state']}, and sent {sent} events")
    tasks = {task["task_id"]: task["duration"] for task in stage.airflow.task_instances(DAG_ID, run_id)}
    return {"events": 1, "seconds": _seconds(ended["queued_at"], ended["end_date"]), "tasks": tasks}


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
