"""Notices through Airflow's own notifiers: the deadline before the import, a run that broke, the first that is well again.

Scheduled runs only: who triggers a run or a backfill is watching it. What was told is kept in two Airflow variables,
``<dag_id>.deadline_told`` (the night) and ``<dag_id>.broken_since`` (the run), so that it is told once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, time
from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable
from asgiref.sync import sync_to_async

from webflow_conversions.errors import ConversionsError
from webflow_conversions.operators.base import default_config_path, now

if TYPE_CHECKING:
    from webflow_conversions.configuration import Configuration

log = logging.getLogger(__name__)

_DEADLINE_TOLD, _BROKEN_SINCE = "deadline_told", "broken_since"
_DESCRIPTION = "What the notices have told already."


async def warn_at_deadline(context: dict[str, Any], since: str) -> str:
    """Callback of the Dag's deadline, run by the triggerer; returns what it did.

    What counts is the night, not the run whose deadline it is: a run that has to wait for the one before it may be made,
    and its deadline be over, when all is out.

    :param since: the time of day, in UTC, at which the first run of the night is due.
    """
    return await sync_to_async(_warn_at_deadline, thread_sensitive=False)(context, since)


def _warn_at_deadline(context: dict[str, Any], since: str) -> str:
    run = context["dag_run"]
    if run["run_type"] != "scheduled":
        return "silent: not a scheduled run"
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.ledger.notices import stake
    from webflow_conversions.pipeline.notices import blind_notice, deadline_notice
    from webflow_conversions.rules.window import next_import

    moment, due = now(), datetime.fromisoformat(str(context["deadline"]["deadline_time"]))
    if not due <= moment < next_import(due):
        return "silent: not the hour before an import"
    dag_id, night = run["dag_id"], f"{due.astimezone(UTC):%Y-%m-%d}"
    if _told(dag_id, _DEADLINE_TOLD) == night:
        return "silent: told already"
    config = _settings()
    sources = config.destinations([source.name for source in config.sources])
    first_due = datetime.combine(due.astimezone(UTC), time.fromisoformat(since), UTC)
    try:
        notice = deadline_notice(stake(ledger_session(), dag_id, first_due, sources, moment), moment)
    except ConversionsError as error:
        notice = blind_notice(str(error), moment)
    if notice is None:
        return "silent: nothing is at stake"
    _tell(config, notice, context)
    Variable.set(f"{dag_id}.{_DEADLINE_TOLD}", night, _DESCRIPTION)
    return notice.subject


def notify_of_failure(context: Mapping[str, Any]) -> None:
    """Callback of a failed run: tells it, unless the run before had failed too."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    if not run_id.startswith("scheduled__") or _told(dag_id, _BROKEN_SINCE):
        return
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.ledger.notices import run_problems
    from webflow_conversions.pipeline.notices import failure_notice

    try:
        problems = run_problems(ledger_session(), dag_id, run_id)
    except ConversionsError as error:
        problems = [str(error).rstrip(".")]
    _tell(_settings(), failure_notice(run_id, problems, _failed_tasks(context)), context)
    Variable.set(f"{dag_id}.{_BROKEN_SINCE}", run_id, _DESCRIPTION)


def notify_of_recovery(context: Mapping[str, Any]) -> None:
    """Callback of a run that succeeded: tells it, if the one before had failed."""
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    broken_since = _told(dag_id, _BROKEN_SINCE)
    if not run_id.startswith("scheduled__") or not broken_since:
        return
    from webflow_conversions.pipeline.notices import recovery_notice

    _tell(_settings(), recovery_notice(run_id, broken_since), context)
    Variable.set(f"{dag_id}.{_BROKEN_SINCE}", "", _DESCRIPTION)


def _settings() -> Configuration:
    from webflow_conversions.configuration import ConfigurationFile

    return ConfigurationFile(default_config_path()).configuration


def _failed_tasks(context: Mapping[str, Any]) -> list[str]:
    if "ti" not in context:
        return []
    states = context["ti"].get_task_states(context["dag"].dag_id, run_ids=[context["run_id"]])
    return sorted(task for task, state in states.get(context["run_id"], {}).items() if state == "failed")


def _tell(config: Configuration, notice: Any, context: Mapping[str, Any]) -> None:
    """Hand the notice to every notifier; one that fails keeps none from the others, and fails the callback at the end."""
    if not config.notices:
        log.warning("nobody is told, since the configuration names no notices: %s %s", notice.subject, notice.message)
    failures: list[Exception] = []
    for one in config.notices:
        given = dict(context) | {"subject": notice.subject, "message": notice.message, "html": f"<p>{escape(notice.message)}</p>"}
        try:
            notifier = one.build()
            notifier.render_template_fields(given)
            notifier.notify(given)
        except Exception as error:
            log.exception("the notice could not be handed to %s", one.notifier)
            failures.append(error)
    if failures:
        raise ExceptionGroup("not everybody was told", failures)


def _told(dag_id: str, what: str) -> str:
    return str(Variable.get(f"{dag_id}.{what}", default=""))
