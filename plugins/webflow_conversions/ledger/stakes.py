"""What a notice needs to know of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from webflow_conversions.ledger.migrations import is_there
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.notices import RunRecord, Stake
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import latest_sendable_ms, oldest_sendable_ms


def run_record(session: Session, dag_id: str, run_id: str) -> RunRecord | None:
    """The record of a run; None if plan never opened one.

    :raises Unavailable: if the ledger is away.
    """
    if not is_there(session):
        return None
    return _run_record(session, dag_id, run_id=run_id)


def stake(session: Session, dag_id: str, since: datetime, sources: Mapping[str, Sequence[str]], now: datetime) -> Stake:
    """What could still go out at ``now`` from the given sources by destination, and how the last run since then stands.

    :raises Unavailable: if the ledger is away.
    """
    scope = {
        "destinations": list(sources),
        "sources": [source for of_destination in sources.values() for source in of_destination],
        "start_ms": oldest_sendable_ms(now),
        "end_ms": latest_sendable_ms(now) + 1,
    }
    if not is_there(session):
        return Stake(run=None)
    ready: dict[str | None, Amount] = {}
    for row in session.fetch("ready_in_scope", scope):
        ready[row.trouble] = ready.get(row.trouble, Amount()) + Amount(rows=row.rows, value=row.value)
    in_doubt = (Amount(rows=row.rows, value=row.value) for row in session.fetch("in_doubt", scope))
    return Stake(run=_run_record(session, dag_id, since=since), ready=ready, in_doubt=sum(in_doubt, Amount()))


def _run_record(session: Session, dag_id: str, *, run_id: str | None = None, since: datetime | None = None) -> RunRecord | None:
    found = session.fetch("run_record", {"dag_id": dag_id, "run_id": run_id, "since": since})
    return RunRecord(**found[0]._asdict()) if found else None
