"""Notices through Airflow's own notifiers: a run that failed or needs a person, the deadline before the import, all well again.

Scheduled runs only: who triggers a run or a backfill is watching it. What was told is kept in two Airflow variables,
``<dag_id>.deadline_told`` (the night) and ``<dag_id>.problems_told`` (since which run, and which causes), so that it is told
once: a night that fails as the one before is not told again, one that fails for another cause is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Variable, conf
from asgiref.sync import sync_to_async

from webflow_conversions.errors import ConversionsError, Unavailable, frames
from webflow_conversions.hooks.scheduler import FAILURE
from webflow_conversions.operators import notifiers
from webflow_conversions.operators.base import default_config_path, now

if TYPE_CHECKING:
    from webflow_conversions.configuration import Configuration, NoticeTo
    from webflow_conversions.pipeline.notices import Notice
    from webflow_conversions.pipeline.verdict import Finding

    Compose = Callable[[Sequence[str] | None], Notice | None]
    """Makes the notice for those who are told of some sources, or of all; None if there is none for them."""

log = logging.getLogger(__name__)

_DEADLINE_TOLD, _PROBLEMS_TOLD = "deadline_told", "problems_told"
_DESCRIPTION = "What the notices have told already."


async def warn_at_deadline(context: dict[str, Any], since: str, dag_file: str | None = None) -> str:
    """Callback of the Dag's deadline, run by the triggerer; returns what it did.

    What counts is the night, not the run whose deadline it is: a run that has to wait for the one before it may be made,
    and its deadline be over, when all is out.

    :param since: the time of day, in UTC, at which the first run of the night is due.
    :param dag_file: the name of the Dag's own file, by which its configuration is found in the bundle of the run.
    """
    return await sync_to_async(_warn_at_deadline, thread_sensitive=False)(context, since, dag_file)


def _warn_at_deadline(context: dict[str, Any], since: str, dag_file: str | None) -> str:
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
    if _told(dag_id, _DEADLINE_TOLD, "") == night:
        return "silent: told already"
    config = _settings(None if dag_file is None else _in_bundle(run, dag_file))
    if config.delivery.is_rehearsal:
        return "silent: in a rehearsal nothing is to be sent"
    first_due = datetime.combine(due.astimezone(UTC), time.fromisoformat(since), UTC)

    def compose(sources: Sequence[str] | None) -> Notice | None:
        names = [source.name for source in config.sources if sources is None or source.name in sources]
        try:
            return deadline_notice(stake(ledger_session(), dag_id, first_due, config.destinations(names), moment), moment)
        except ConversionsError as error:
            return blind_notice(str(error), moment)

    notice = compose(None)
    if notice is None:
        return "silent: nothing is at stake"
    _tell(config, compose, dag_id, context)
    Variable.set(f"{dag_id}.{_DEADLINE_TOLD}", night, _DESCRIPTION)
    return notice.subject


def notify_of_failed_readback(context: Mapping[str, Any], tells_from: time) -> None:
    """Callback of a failed read-back, as :func:`notify_of_failure`.

    :param tells_from: the time of day, in UTC, of the last run of a day: an earlier one tells nobody, since it is tried again.
    """
    if _is_told(context["run_id"], tells_from):
        _notify_of_failure(context, can_rehearse=False)


def notify_of_readback(context: Mapping[str, Any], tells_from: time) -> None:
    """Callback of a read-back that succeeded: tells it, if the last one that told anything had not."""
    from webflow_conversions.pipeline.notices import readback_recovery_notice

    if _is_told(context["run_id"], tells_from):
        _notify_of_recovery(context, readback_recovery_notice)


def _is_told(run_id: str, tells_from: time) -> bool:
    """Whether a run is due at ``tells_from`` or later that day, by its name ``scheduled__<moment>``; in doubt it is."""
    try:
        due = datetime.fromisoformat(run_id.partition("__")[2])
    except ValueError:
        return True
    return due.astimezone(UTC).time() >= tells_from


def notify_of_failure(context: Mapping[str, Any]) -> None:
    """Callback of a failed run: tells why, unless the run before failed for the same causes."""
    _notify_of_failure(context, can_rehearse=True)


def _notify_of_failure(context: Mapping[str, Any], *, can_rehearse: bool) -> None:
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    if not run_id.startswith("scheduled__"):
        return
    from webflow_conversions.pipeline.notices import concerning, run_notice

    findings = _causes(context)
    told = _told(dag_id, _PROBLEMS_TOLD, {})
    known = told.get("causes", {})
    causes = {_signature(finding): finding.source for finding in findings}
    since = told.get("since", run_id)
    if not causes.keys() <= known.keys():
        config = _settings_of(context["dag"])
        is_rehearsal = can_rehearse and _is_rehearsal(config, dag_id, run_id)
        _tell(
            config,
            lambda sources: run_notice(run_id, concerning(findings, sources), is_rehearsal=is_rehearsal),
            dag_id,
            context,
        )
    _remember_problems(dag_id, {"since": since, "causes": causes})


def notify_of_recovery(context: Mapping[str, Any]) -> None:
    """Callback of a run that succeeded: tells it, if the one before had not."""
    from webflow_conversions.pipeline.notices import recovery_notice

    def notice_of(run_id: str, since: str) -> Notice:
        is_rehearsal = _is_rehearsal(_settings_of(context["dag"]), context["dag"].dag_id, run_id)
        return recovery_notice(run_id, since, is_rehearsal=is_rehearsal)

    _notify_of_recovery(context, notice_of)


def _notify_of_recovery(context: Mapping[str, Any], notice_of: Callable[[str, str], Notice]) -> None:
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    told = _told(dag_id, _PROBLEMS_TOLD, {})
    if not run_id.startswith("scheduled__") or not told:
        return
    broken = set(told["causes"].values())

    def compose(sources: Sequence[str] | None) -> Notice | None:
        is_of_theirs = sources is None or "" in broken or broken.intersection(sources)
        return notice_of(run_id, told["since"]) if is_of_theirs else None

    _tell(_settings_of(context["dag"]), compose, dag_id, context)
    _remember_problems(dag_id, {})


def send_test_notices() -> list[str]:
    """Send a notice that says that it is a test to everybody whom the configuration names; returns the notifiers.

    :raises ExceptionGroup: if not all could be told.
    """
    from webflow_conversions.pipeline.notices import NoticeKind, test_notice

    routes = _settings(None).notices
    _hand_over([(route, test_notice(NoticeKind(route.on[0]))) for route in routes], "", {})
    return [route.notifier for route in routes]


def _is_rehearsal(config: Configuration, dag_id: str, run_id: str) -> bool:
    """Whether a run was a rehearsal: by the ledger; of one that it does not know, or without it, by the configuration."""
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.ledger.notices import was_rehearsal

    known = None
    with suppress(ConversionsError):
        known = was_rehearsal(ledger_session(), dag_id, run_id)
    return config.delivery.is_rehearsal if known is None else known


def _settings(dag_file: str | None) -> Configuration:
    from webflow_conversions.configuration import ConfigurationFile

    return ConfigurationFile(default_config_path(dag_file)).configuration


def _settings_of(dag: Any) -> Configuration:
    """The configuration of the tasks of a Dag, which may name another file than the one that is nearest to it."""
    from webflow_conversions.configuration import ConfigurationFile

    given = next(
        (
            path
            for path in (getattr(task, "config_path", None) for task in getattr(dag, "tasks", ()))
            if path and "{{" not in path
        ),
        None,
    )
    return ConfigurationFile(Path(given)).configuration if given else _settings(getattr(dag, "fileloc", None))


def _in_bundle(run: Mapping[str, Any], dag_file: str) -> str | None:
    """The path of a Dag's file in the bundle of its run, which a triggerer need not have yet; None if it cannot be had here."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    versions = run.get("dag_versions") or ()
    if not versions:
        return None
    try:
        bundle = DagBundlesManager().get_bundle(versions[-1]["bundle_name"], run.get("bundle_version"))
        bundle.initialize()
        found = min(Path(bundle.path).rglob(dag_file), key=lambda path: len(path.parts), default=None)
    except Exception as error:  # noqa: BLE001 - Git, S3 and whatever else a bundle uses.
        log.warning("The bundle of the run cannot be read here, so the configuration beside the Dags folder counts: %s", error)
        return None
    return None if found is None else str(found)


def _causes(context: Mapping[str, Any]) -> list[Finding]:
    """Causes of a failed run: from the ledger, else from the XComs of the tasks, else the names of the failed tasks."""
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.ledger.notices import run_causes
    from webflow_conversions.pipeline.causes import Cause, Level
    from webflow_conversions.pipeline.failures import failures_of
    from webflow_conversions.pipeline.verdict import Finding, causes

    trouble = ""
    try:
        if found := run_causes(ledger_session(), context["dag"].dag_id, context["run_id"]):
            return found
    except ConversionsError as error:
        trouble = str(error).rstrip(".")
    if found := causes(None, failures_of(_failures_told_airflow(context))):
        return found
    tasks = ", ".join(_failed_tasks(context)) or "a task"
    sentence = trouble or f"{tasks} failed and left no sentence: it was ended from outside, or could not reach the ledger"
    return [Finding(cause=Cause.TASK_FAILED, level=Level.FAILED, source="", sentence=sentence)]


def _failures_told_airflow(context: Mapping[str, Any]) -> dict[str, Any]:
    if "ti" not in context:
        return {}
    pulled: Iterable[Any] = ()
    with suppress(Exception):  # The XComs only add detail to the notice.
        pulled = context["ti"].xcom_pull(task_ids=sorted(context["dag"].task_ids), key=FAILURE) or ()
    return {str(number): document for number, document in enumerate(pulled) if document}


def _failed_tasks(context: Mapping[str, Any]) -> list[str]:
    if "ti" not in context:
        return []
    states = context["ti"].get_task_states(context["dag"].dag_id, run_ids=[context["run_id"]])
    return sorted(task for task, state in states.get(context["run_id"], {}).items() if state == "failed")


def _signature(finding: Finding) -> str:
    """The key that compares causes of two nights: code and source, and without a source the sentence, without its numbers."""
    from webflow_conversions.pipeline.causes import Cause

    if finding.source and finding.cause is not Cause.TASK_FAILED:
        return f"{finding.cause} {finding.source}"
    return f"{finding.cause} {re.sub(r'(HTTP )?[0-9]+', lambda found: found[0] if found[1] else '#', finding.sentence)}"


def _tell(config: Configuration, compose: Compose, dag_id: str, context: Mapping[str, Any]) -> None:
    """Hand a notice to everybody who is to be told; with nobody to tell, the log has it."""
    if not config.notices and (notice := compose(None)) is not None:
        log.warning(
            "nobody is told, since the configuration names no notices: %s",
            notifiers.one_line(f"{notice.subject} {notice.message}"),
        )
    composed = [(route, compose(route.sources)) for route in config.notices]
    _hand_over([(route, notice) for route, notice in composed if notice and notice.kind in route.on], dag_id, context)


def _hand_over(notices: Iterable[tuple[NoticeTo, Notice]], dag_id: str, context: Mapping[str, Any]) -> None:
    """Let each notifier notify; one that fails keeps none from the others, and fails the callback at the end."""
    failures: list[Exception] = []
    for route, notice in notices:
        try:
            notifiers.tell(notifiers.built(route), context, _given(notice, dag_id))
        except Exception as error:
            sentence = f"The notice could not be handed to {route.notifier}: {notifiers.trouble_of(error)}."
            log.error("%s\n%s", sentence, frames(error))
            log.debug("with what it said", exc_info=error)
            failures.append(Unavailable(sentence))
    if failures:
        raise ExceptionGroup("not everybody was told", failures)


def _given(notice: Notice, dag_id: str) -> dict[str, str]:
    """The template variables of a notice for the arguments of a notifier."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    page = f"{base}/webflow/" if base else ""
    run = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(notice.run_id, safe='')}" if base and notice.run_id else ""
    links = [(name, address) for name, address in (("The run in Airflow", run), ("The conversions page", page)) if address]
    message = notifiers.one_line(notice.message)
    return {
        "subject": notifiers.one_line(notice.subject),
        "message": "\n".join([message, *(f"{name}: {address}" for name, address in links)]),
        "html": f"<p>{escape(message)}</p>"
        + "".join(f'<p><a href="{escape(address)}">{escape(name)}</a></p>' for name, address in links),
        "severity": notice.kind.severity,
        "cause": notifiers.one_line(notice.cause),
        "remedy": notifiers.one_line(notice.remedy),
        "link": run or page,
    }


def _told(dag_id: str, what: str, nothing: Any) -> Any:
    return Variable.get(f"{dag_id}.{what}", default=nothing, deserialize_json=not isinstance(nothing, str))


def _remember_problems(dag_id: str, told: Mapping[str, Any]) -> None:
    Variable.set(f"{dag_id}.{_PROBLEMS_TOLD}", told, _DESCRIPTION, serialize_json=True)
