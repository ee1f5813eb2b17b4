"""The end of the wait of what grew older than 2 days."""

from datetime import datetime

from webflow_conversions.ledger.session import Session
from webflow_conversions.rules.window import sendable

_BATCH_ROWS = 10_000
"""Rows that one transaction expires, of those that are ready and of the others."""


def expire_waiting(session: Session, run_id: str, now: datetime) -> int:
    """Expire waiting conversions of every window that are older than 2 days, as part of a run; returns their number."""
    parameters = {"oldest_ms": sendable(now).start_ms, "now": now, "run_id": run_id, "rows": _BATCH_ROWS}
    expired = 0
    while batch := session.execute("expiry/expire_waiting", parameters):
        expired += batch
    return expired
