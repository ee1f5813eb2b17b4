"""The ledger as notices read it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from webflow_conversions.delivery.forecast import forecasts_of
from webflow_conversions.ledger.migrations import is_there
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.notices import RunRecord, Stake
from webflow_conversions.pipeline.run import Scope
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import sendable


def run_problems(session: Session, dag_id: str, run_id: str) -> list[str]:
    """Problems that reconcile found in a run; none if reconcile did not run.

    :raises Unavailable: if the ledger is away.
    """
    found = session.fetch("notices/problems_of_run", {"dag_id": dag_id, "run_id": run_id}) if is_there(session) else ()
    return [problem for row in found for problem in row.problems]


def stake(session: Session, dag_id: str, since: datetime, sources: Mapping[str, Sequence[str]], now: datetime) -> Stake:
    """Conversions of the given sources, by destination, that can still go out at ``now``, and the record of the night.

    :param since: when the first run of the night was due.
    :raises Unavailable: if the ledger is away.
    """
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
    return Stake(run=_run_record(night[0]) if night else None, ready=ready, in_doubt=in_doubt)


def _run_record(row: Any) -> RunRecord:
    return RunRecord(
        is_ended=row.is_ended,
        problems=row.problems,
        unread_sources=row.unread_sources,
        forecasts=forecasts_of(row.forecast),
    )
