"""What Airflow knows of the Dag, and how to start a run of it; inside the API server, on Airflow's own database."""

from typing import Any

from webflow_conversions.errors import Unusable
from webflow_conversions.ui.night import AirflowRun, DagNow

DAG_ID = "webflow_offsite_conversions"

_RUNS = 20
_FAILED_RUNS = 5


def dag_now() -> DagNow:
    """The Dag, its last runs, and which tasks of the failed ones failed."""
    from airflow.models import DagModel, DagRun, TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session(scoped=False) as session:
        dag = session.get(DagModel, DAG_ID)
        if dag is None or dag.is_stale:
            return DagNow(is_there=False)
        runs = session.scalars(
            select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(_RUNS)
        ).all()
        failed = [run.run_id for run in runs if run.state == "failed"][:_FAILED_RUNS]
        tasks = session.execute(
            select(TaskInstance.run_id, TaskInstance.task_id)
            .where(TaskInstance.dag_id == DAG_ID, TaskInstance.run_id.in_(failed), TaskInstance.state == "failed")
            .order_by(TaskInstance.end_date)
        ).all()
        return DagNow(
            is_paused=bool(dag.is_paused),
            next_run_at=dag.next_dagrun_create_after,
            runs=[_run(run, [task for run_id, task in tasks if run_id == run.run_id]) for run in runs],
        )


def start_run(person: str) -> str:
    """Start a run over the last 2 days, as the person.

    :return: its ID.
    :raises Unusable: if Airflow does not start one.
    """
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.sdk.exceptions import AirflowException
    from airflow.utils.types import DagRunTriggeredByType

    try:
        run = trigger_dag(DAG_ID, triggered_by=DagRunTriggeredByType.UI, triggering_user_name=person)
    except (AirflowException, ValueError) as error:
        raise Unusable(f"Airflow does not start a run: {str(error).rstrip('.')}.") from error
    if run is None:
        raise Unusable("Airflow does not start a run, and does not say why.")
    return str(run.run_id)


def customer_id(destination: str) -> str:
    """The customer ID of a destination's connection; a word in its place if there is none."""
    from webflow_conversions.hooks.connections import connection_named

    try:
        return connection_named(destination).login or "(no customer ID)"
    except Unusable:
        return "(no connection)"


def _run(run: Any, failed_tasks: list[str]) -> AirflowRun:
    asked = run.conf or {}
    return AirflowRun(
        run_id=run.run_id,
        run_type=str(getattr(run.run_type, "value", run.run_type)),
        state=str(getattr(run.state, "value", run.state)),
        run_after=run.run_after,
        started_at=run.start_date,
        ended_at=run.end_date,
        failed_tasks=list(dict.fromkeys(failed_tasks)),
        dry_run=bool(asked.get("dry_run")),
        is_partial=bool(asked.get("date") or asked.get("sources")),
    )
