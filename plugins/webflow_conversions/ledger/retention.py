"""Removal of old rows from the ledger, in small batches."""

from datetime import datetime, timedelta

from webflow_conversions.ledger.session import Session
from webflow_conversions.rules.window import to_milliseconds

EXTRACTED_KEPT = timedelta(days=3)
"""Time for which the ledger keeps which conversions an extraction read. Reconcile needs the last one, people the others."""

_BATCH_ROWS = 5_000
"""Rows that one transaction removes."""


def remove_old(session: Session, keep: timedelta, now: datetime) -> int:
    """Remove conversions that finished before ``keep`` ago, never those that may still be sent; returns their number."""
    before = now - keep
    parameters = {
        "before": before,
        "before_ms": to_milliseconds(before),
        "kept_since": now - EXTRACTED_KEPT,
        "rows": _BATCH_ROWS,
    }
    while session.execute("retention/remove_extracted", parameters):
        continue
    removed, after_id = 0, 0
    while page := session.fetch("retention/oldest_conversions", parameters | {"after_id": after_id}):
        old = [row.id for row in page if row.is_old]
        if not old:
            break
        removed += session.execute("retention/remove_finished", parameters | {"ids": old})
        after_id = page[-1].id
    return removed
