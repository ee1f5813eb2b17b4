"""What Airflow knows of the Dag, and how to start a run of it; inside the API server, on Airflow's own database."""

from typing import Any

from webflow_conversions.errors import Unusable
from webflow_conversions.ui.night import AirflowRun, DagNow

DAG_ID = "webflow_offsite_conversions"

_RUNS = 20
"""Last runs that are looked at; dry runs come on top of them."""
_MOST_RUNS = 1_000
"""Runs, dry ones included, that are looked through for them."""
_PAGE = 50
_FAILED_RUNS = 5


def dag_now() -> DagNow:
    """The Dag, its last runs, and which tasks of the failed ones failed."""
    from airflow.models import DagModel, TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session(scoped=False) as session:
        dag = session.get(DagModel, DAG_ID)
        if dag is None or dag.is_stale:
            return DagNow(is_there=False)
        runs = _last_runs(session)
        failures = [run for run in runs if run.state == "failed"]
        failed = [
            run.run_id for is_dry in (False, True) for run in [one for one in failures if _is_dry(one) is is_dry][:_FAILED_RUNS]
        ]
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


def _last_runs(session: Any) -> list[Any]:
    """The last runs, with the dry runs between them: somebody who tries things out must not hide the night."""
    from airflow.models import DagRun
    from sqlalchemy import select

    last = select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(_PAGE)
    found: list[Any] = []
    real = 0
    for start in range(0, _MOST_RUNS, _PAGE):
        page = session.scalars(last.offset(start)).all()
        for run in page:
            if real == _RUNS:
                return found
            found.append(run)
            real += not _is_dry(run)
        if len(page) < _PAGE:
            break
    return found


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


def _is_dry(run: Any) -> bool:
    """Whether it was asked to be a dry run."""
    return bool((run.conf or {}).get("dry_run"))


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
        dry_run=_is_dry(run),
        is_partial=bool(asked.get("date") or asked.get("sources")),
    )
