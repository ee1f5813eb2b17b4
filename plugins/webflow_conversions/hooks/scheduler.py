"""What only the scheduler knows, told to the tasks: which release it has, and which pools there are.

A task talks to Airflow through the API server alone, which tells it nothing of pools; and a task in a pool that is
missing neither starts nor fails. So the scheduler writes both into an Airflow Variable whenever a run of a Dag with a
plan task starts, and plan reads it. This module is the listener that ``plugins/webflow_plugin.py`` names.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.listeners import hookimpl

from webflow_conversions import __version__
from webflow_conversions.errors import Unusable

VARIABLE = "webflow_scheduler"


@hookimpl
def on_dag_run_running(dag_run: Any) -> None:
    """Airflow's listener: called in the scheduler, within its transaction, before any task of the run."""
    from airflow.models import Pool, Variable  # the SDK's Variable has no session
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None or dag_run.dag is None or all(task.task_type != "PlanConversionsOperator" for task in dag_run.dag.tasks):
        return
    facts = {"package": __version__, "pools": list(session.scalars(select(Pool.pool).order_by(Pool.pool)))}
    note = "Written at the start of each run, for its plan task."
    Variable.set(VARIABLE, facts, note, serialize_json=True, session=session)  # noqa: AIR311


def check(told: Mapping[str, Any], pools: Iterable[str]) -> None:
    """Compare what the scheduler told with this worker.

    :param pools: those that the tasks of the Dag are in.
    :raises Unusable: if the scheduler has another release, or knows no such pool.
    """
    if told["package"] != __version__:
        raise Unusable(
            f"This worker has webflow_conversions {__version__}, and the scheduler {told['package']}: install the same release "
            "on every machine of this Airflow, and restart both."
        )
    missing = sorted(set(pools) - set(told["pools"]))
    if missing:
        raise Unusable(
            f"There is no pool {missing[0]}, and a task in it would wait for ever: create it under Admin > Pools, "
            f"or with: airflow pools set {missing[0]} 4 'Pushes at the same time'."
        )
