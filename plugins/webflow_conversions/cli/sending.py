"""Sending one conversion through the ledger, as a run with nothing else in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from webflow_conversions.cli.output import standing
from webflow_conversions.errors import Stopped, Unfinished, Unusable
from webflow_conversions.rules.states import State, explain_standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webflow_conversions.ledger.runs import Runs
    from webflow_conversions.ledger.search import Conversion
    from webflow_conversions.pipeline.preview import Foreseen
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.project import Project

RUNS_OF = "webflow-conversions"
"""What stands in place of a Dag in the records of such runs."""

_MAY_BE_SENT = frozenset({State.READY, State.HELD, State.FUTURE})
"""States of a row in the ledger that the source's row may make ready."""


def refuse_unsendable(project: Project, source: str, foreseen: Sequence[Foreseen], recorded: Conversion | None) -> None:
    """Refuse what must not go out, before anybody is asked.

    :param foreseen: the conversions that were found; ``recorded``: what the ledger has of the only one.
    :raises Stopped: with what stands against it.
    """
    if project.config.delivery.is_rehearsal:
        raise Stopped("Nothing is sent, since delivery.mode is rehearse: set it to live first.")
    if len(foreseen) != 1:
        raise Stopped(f"Nothing is sent, since {len(foreseen)} conversions were found: name one by its action ID.")
    (one,) = foreseen
    if one.event is None:
        raise Stopped(f"Nothing is sent: {one.conversion_id} of {source} {_because(one.state, one.reason)}")
    if recorded is not None and State(recorded.state) not in _MAY_BE_SENT:
        raise Stopped(
            f"Nothing is sent: by the ledger, {one.conversion_id} of {source} {_because(recorded.state, recorded.reason)}"
        )


def send(project: Project, source_name: str, one: Foreseen) -> Conversion:
    """Record the source's row of a conversion, send it, and settle it: one run of its own.

    :return: the conversion as the ledger has it afterwards.
    :raises Stopped: if the ledger has it in a state in which nothing may be sent, or the token is refused.
    :raises Unfinished: if it was not accepted.
    """
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.hooks.webflow import WebflowHook
    from webflow_conversions.ledger.push import Worker
    from webflow_conversions.ledger.runs import Runs
    from webflow_conversions.rules.window import Window, from_milliseconds

    if one.action_timestamp_ms is None:
        raise Unusable("A conversion without a moment cannot be sent.")
    source = project.config.source(source_name)
    destinations = {source.webflow_conn_id: [source.name]}
    moment, now, session = from_milliseconds(one.action_timestamp_ms), _now(), ledger_session()
    api, runs = project.destination(source.webflow_conn_id), Runs(session, RUNS_OF)
    run = runs.begin(
        run_id=f"trace__{now.isoformat()}",
        run_type="manual",
        window=Window(start=moment, end=moment + timedelta(milliseconds=1)),
        sources=[source.name],
        destinations=list(destinations),
        dry_run=False,
        is_whole=False,
        force=False,
        clock_offset=WebflowHook(source.webflow_conn_id).probe().clock_offset,
        now=now,
        currency=project.config.currency,
        is_rehearsal=False,
        addresses={source.webflow_conn_id: {"url": api.url, "customer_id": api.customer_id}},
    )
    run = replace(run, only=one.action_id)
    try:
        _record(project, source_name, one, run)
        _refuse_unready(one)
        runs.approve(run)
        worker = Worker(destination=source.webflow_conn_id, sources=[source.name], number=0, try_number=1)
        project.push(run, worker, ledger_session).run()
    finally:
        _end(project, runs, run, destinations)
    sent = _recorded(one)
    if sent.state != State.ACCEPTED:
        raise Unfinished(f"It was not accepted: by the ledger, it {_because(sent.state, sent.reason or sent.trouble)}")
    return sent


def _record(project: Project, source_name: str, one: Foreseen, run: Run) -> None:
    """Bring the source's row into the ledger, with its user and its verdict, as extract and identify do."""
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.ledger.attribution import AttributionOfRun
    from webflow_conversions.ledger.extraction import Extraction
    from webflow_conversions.pipeline.attribution import attribute
    from webflow_conversions.pipeline.extraction import extract
    from webflow_conversions.pipeline.trace import PickedRows
    from webflow_conversions.rules.window import Window

    source = project.config.source(source_name)
    rules, fingerprint = project.config.rules(source), project.fingerprint(source.webflow_conn_id)
    rows = PickedRows(project.source_query(source, Window.up_to(_now())), {one.conversion_id or ""})
    extract(run, rules, rows, project.known_users, Extraction(ledger_session(), run, rules, fingerprint), _now)
    if project.credit is not None:
        ledger = AttributionOfRun(ledger_session(), ledger_session(), run, {source.webflow_conn_id: [source.name]})
        attribute(project.known_users, project.credit, ledger, _now)


def _refuse_unready(one: Foreseen) -> None:
    recorded = _recorded(one)
    if recorded.state != State.READY:
        raise Stopped(f"Nothing was sent: by the ledger, it {_because(recorded.state, recorded.reason)}")


def _recorded(one: Foreseen) -> Conversion:
    from webflow_conversions.hooks.connections import ledger_session
    from webflow_conversions.ledger.search import Conversions
    from webflow_conversions.ledger.selection import Filter

    (found,) = Conversions(ledger_session()).page(Filter(conversion=one.action_id), 1).conversions
    return found


def _end(project: Project, runs: Runs, run: Run, destinations: Mapping[str, Sequence[str]]) -> None:
    """Close the record of the run, as reconcile does."""
    from webflow_conversions.pipeline.guards import Limits
    from webflow_conversions.pipeline.judgement import judge
    from webflow_conversions.pipeline.reconciliation import counts

    evidence = runs.evidence(run, destinations, _now())
    verdict = judge(evidence, Limits(**project.config.guards.model_dump()))
    runs.end(run, verdict, counts(evidence.accounts, evidence.pushes, {}))


def _because(state: str, reason: str | None) -> str:
    return f"is {standing(state, reason)}: {explain_standing(state, reason)[0]}"


def _now() -> datetime:
    return datetime.now(UTC)
