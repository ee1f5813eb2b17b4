"""Listener in the scheduler: tells the tasks what they cannot ask, and writes failures and dry runs into the run's note.

A task talks to Airflow through the API server alone, which tells it nothing of pools; and a task in a pool that is missing
neither starts nor fails. Nor can a task tell whether a connection that it gets is the one under Admin > Connections: one of
the same name in the environment or in a secrets backend comes first, silently. So the scheduler writes its release,
the pools, and where the connections of Airflow's database lead into an Airflow Variable whenever a run of a Dag with a plan
task starts, and plan reads it.

A task can write no note: the API that it talks to has none. So it pushes its sentence as an XCom, and the scheduler, which
is in Airflow's database anyway, makes the note of it; the grid and the run's page show it. A dry run's note leads to its result.

This module is the listener that ``webflow_conversions.plugin`` names.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.listeners import hookimpl

from webflow_conversions import __version__
from webflow_conversions.errors import Unusable
from webflow_conversions.pipeline.failures import failures_of

VARIABLE = "webflow_scheduler"

FAILURE = "failure"
"""Key of the XCom in which a failed task stores its failure."""

DRY_RUN = "dry_run"
"""Key of the XCom in which reconcile stores what a dry run showed."""

_NOTE = "Why it failed: "
_DRY_RUN_NOTE = "Dry run: "
_NOTE_CHARACTERS = 1_000
_TASK_INSTANCE = ("dag_id", "run_id", "task_id", "map_index")


@hookimpl
def on_dag_run_running(dag_run: Any) -> None:
    """Airflow's listener: called in the scheduler, within its transaction, before any task of the run."""
    from airflow.models import Connection, Pool, Variable  # the SDK's Variable has no session
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None or not _is_ours(dag_run):
        return
    _set_note(dag_run, "")
    # The columns alone: a whole connection would be decrypted.
    columns = (getattr(Connection, name) for name in ("conn_id", "host", "port", "schema", "login"))  # noqa: AIR311
    facts = {
        "package": __version__,
        "at": datetime.now(UTC).isoformat(),
        "pools": list(session.scalars(select(Pool.pool).order_by(Pool.pool))),
        "connections": {one.conn_id: fingerprint(one) for one in session.execute(select(*columns))},
    }
    note = "Written at the start of each run, for its plan task."
    Variable.set(VARIABLE, facts, note, serialize_json=True, session=session)  # noqa: AIR311


@hookimpl
def on_dag_run_failed(dag_run: Any) -> None:
    """Airflow's listener: the sentences of the tasks that failed become the run's note."""
    from airflow.models import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import and_, select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None or not _is_ours(dag_run):
        return
    of_the_task = and_(*(getattr(XComModel, part) == getattr(TaskInstance, part) for part in _TASK_INSTANCE))
    told = session.scalars(
        select(XComModel)
        .join(TaskInstance, of_the_task)
        .where(XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == FAILURE)
        .where(TaskInstance.state == "failed")
    ).all()
    documents = {str(number): XComModel.deserialize_value(one) for number, one in enumerate(told)}
    causes = list(dict.fromkeys(failure.cause for failure in failures_of(documents)))
    if causes:
        # Airflow cuts a note that is too long: the link of a dry run stands first.
        _set_note(dag_run, "\n\n".join([*_shown(dag_run, session), _NOTE + "\n\n".join(f"{cause}." for cause in causes)]))


@hookimpl
def on_dag_run_success(dag_run: Any) -> None:
    """Airflow's listener: what a dry run showed becomes the run's note."""
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is not None and _is_ours(dag_run) and (shown := _shown(dag_run, session)):
        _set_note(dag_run, shown[0])


def _shown(dag_run: Any, session: Any) -> list[str]:
    """What the dry run showed; nothing for any other run."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    if not (dag_run.conf or {}).get("dry_run"):
        return []
    told = session.scalars(
        select(XComModel).where(XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == DRY_RUN)
    ).all()
    return [_DRY_RUN_NOTE + str(XComModel.deserialize_value(one)) for one in told[:1]]


def _is_ours(dag_run: Any) -> bool:
    return dag_run.dag is not None and any(task.task_type == "PlanConversionsOperator" for task in dag_run.dag.tasks)


def _set_note(dag_run: Any, note: str) -> None:
    """A note that a person wrote stays."""
    is_ours = not dag_run.note or dag_run.note.startswith((_NOTE, _DRY_RUN_NOTE))
    if is_ours and (note or dag_run.note):
        dag_run.note = note[:_NOTE_CHARACTERS]


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


def fingerprint(connection: Any) -> str:
    """A hash of where a connection leads, and as whom; nothing of its secrets."""
    fields = [str(value or "") for value in (connection.host, connection.port, connection.schema, connection.login)]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:16]


def hidden(told: Mapping[str, Any], used: Mapping[str, Any]) -> str | None:
    """Which connections under Admin > Connections are not those that are used, in words; None if there are none.

    :param used: the connections that this process gets, by name.
    """
    found = []
    for name, connection in used.items():
        variable = f"AIRFLOW_CONN_{name.upper()}"
        in_database = told.get("connections", {}).get(name)
        if in_database is None:
            continue
        if variable in os.environ:
            found.append(f"{name}, since the environment variable {variable} comes first")
        elif in_database != fingerprint(connection):
            found.append(f"{name}, since a secrets backend or the API server's environment has another one, which comes first")
    return f"the connection under Admin > Connections is not used: {'; '.join(found)}" if found else None
