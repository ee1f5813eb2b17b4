"""The ledger as notices read it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from webflow_conversions.delivery.forecast import forecasts_of
from webflow_conversions.ledger.migrations import is_there
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.failures import failures_of
from webflow_conversions.pipeline.notices import RunRecord, Stake, concerning
from webflow_conversions.pipeline.run import Scope
from webflow_conversions.pipeline.verdict import Finding, Verdict, causes
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import sendable


def run_causes(session: Session, dag_id: str, run_id: str) -> list[Finding]:
    """Why a run is not green: what its failed tasks said, and what reconcile found.

    :raises Unavailable: if the ledger is away.
    """
    found = session.fetch("notices/run_record", {"dag_id": dag_id, "run_id": run_id}) if is_there(session) else []
    return _causes(found[0]) if found else []


def was_rehearsal(session: Session, dag_id: str, run_id: str) -> bool | None:
    """Whether a run was a rehearsal; None for one that plan has not opened.

    :raises Unavailable: if the ledger is away.
    """
    found = session.fetch("notices/run_record", {"dag_id": dag_id, "run_id": run_id}) if is_there(session) else []
    return bool(found[0].is_rehearsal) if found and found[0].is_opened else None


def stake(session: Session, dag_id: str, since: datetime, sources: Mapping[str, Sequence[str]], now: datetime) -> Stake:
    """Conversions of the given sources, by destination, that can still go out at ``now``, and the record of the night.

    :param since: when the first run of the night was due.
    :raises Unavailable: if the ledger is away.
    """
    names = [source for of_destination in sources.values() for source in of_destination]
    if not is_there(session):
        return Stake(run=None)
    ready: dict[str | None, Amount] = {}
    in_doubt = Amount()
    for destination, of_destination in sources.items():
        scope = Scope(destination=destination, sources=of_destination, interval=sendable(now)).parameters()
        for row in session.fetch("runs/ready_in_scope", scope):
            ready[row.trouble] = ready.get(row.trouble, Amount()) + Amount.of_row(row)
        for row in session.fetch("runs/in_doubt", scope):
            in_doubt += Amount.of_row(row)
    night = session.fetch("notices/night_record", {"dag_id": dag_id, "since": since})
    refused = [] if night else session.fetch("notices/refused", {"dag_id": dag_id, "since": since})
    return Stake(
        run=_run_record(night[0], names) if night else None,
        refused=causes(None, failures_of(refused[0].failures)) if refused else (),
        ready=ready,
        in_doubt=in_doubt,
    )


def _causes(row: Any) -> list[Finding]:
    return causes(Verdict.from_json(row.verdict) if row.verdict else None, failures_of(row.failures))


def _run_record(row: Any, sources: Sequence[str]) -> RunRecord:
    return RunRecord(
        run_id=row.run_id,
        is_ended=row.is_ended,
        is_rehearsal=row.is_rehearsal,
        causes=concerning(_causes(row), sources),
        unread_sources=[source for source in row.unread_sources if source in sources],
        forecasts=forecasts_of(row.forecast),
    )
