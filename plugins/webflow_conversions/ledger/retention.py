"""Removal of old rows from the ledger, and of people from what finished long ago; in small batches."""

import hashlib
from datetime import datetime, timedelta

from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import sendable, to_milliseconds

EXTRACTED_KEPT = timedelta(days=3)
"""Time for which the ledger keeps which conversions an extraction read. Reconcile needs the last one, people the others."""

PREVIEWS_KEPT = timedelta(days=1)
"""Time for which the ledger keeps the results of dry runs."""

FARTHEST_AHEAD = timedelta(days=366)
"""A conversion dated farther ahead than this is taken for a mistake: it does not wait for its moment beyond the retention."""

_BATCH_ROWS = 5_000
"""Rows that one transaction removes or hashes."""


_DATED_AHEAD = "dated_ahead"
"""In ``webflow.hashed_people``, in place of a state: its place is a moment in UTC milliseconds."""

_HASHED = "sha256:"


def hashed_user_id(user_id: str) -> str:
    """A user ID as the ledger keeps it of conversions that finished long ago (``ledger/sql/retention/hash_people.sql``)."""
    return f"{_HASHED}{hashlib.sha256(user_id.encode()).hexdigest()}"


def is_hashed(user_id: str) -> bool:
    """Whether a user ID of the ledger is such a hash."""
    return user_id.startswith(_HASHED)


def remove_old(session: Session, keep: timedelta, now: datetime) -> int:
    """Remove conversions that finished before ``keep`` ago, and never those that may still be sent; returns their number.

    Entries of the action log and dry runs go, too, the results of dry runs after a day, and what waits for a moment beyond
    ``FARTHEST_AHEAD``, once no extraction returns it.
    """
    before = now - keep
    parameters = {
        "before": before,
        "before_ms": to_milliseconds(before),
        "ahead_ms": to_milliseconds(now + FARTHEST_AHEAD),
        "kept_since": now - EXTRACTED_KEPT,
        "rows": _BATCH_ROWS,
    }
    for name in ("remove_extracted", "remove_actions", "remove_dry_runs"):
        while session.execute(f"retention/{name}", parameters):
            continue
    remove_previews(session, now)
    removed, after_id = 0, 0
    while page := session.fetch("retention/oldest_conversions", parameters | {"after_id": after_id}):
        old = [row.id for row in page if row.is_old]
        if not old:
            break
        removed += session.execute("retention/remove_finished", parameters | {"ids": old})
        after_id = page[-1].id
    return removed


def remove_previews(session: Session, now: datetime) -> None:
    """Remove the results of dry runs that are older than ``PREVIEWS_KEPT``."""
    session.execute("retention/remove_previews", {"previews_before": now - PREVIEWS_KEPT})


def hash_people(session: Session, keep: timedelta, now: datetime) -> int:
    """Put hashes in place of identity keys and user IDs of conversions that finished before ``keep`` ago; returns their number.

    The ledger remembers how far it came, so a conversion is looked at once. One that is judged anew finishes anew, and comes by
    again.
    """
    hashed = 0
    for state in (State.ACCEPTED, State.REJECTED, State.EXPIRED, State.WITHDRAWN):
        page = "page_of_accepted" if state is State.ACCEPTED else "page_of_turned_away"
        parameters = {
            "state": state,
            "before": now - keep,
            "oldest_ms": sendable(now).start_ms,
            "rows": _BATCH_ROWS,
        }
        while True:
            with session.transaction() as cursor:
                cursor.execute(statement("retention/hashed_up_to"), parameters)
                place = cursor.fetchone()
                cursor.execute(statement(f"retention/{page}"), parameters | {"place": place.place, "id": place.id})
                if not (found := cursor.fetchall()):
                    break
                cursor.execute(statement("retention/hash_people"), parameters | {"ids": [row.id for row in found]})
                hashed += cursor.fetchone().conversions
                cursor.execute(statement("retention/set_hashed_up_to"), parameters | found[-1]._asdict())
    return hashed + _hash_dated_ahead(session, keep, now)


def _hash_dated_ahead(session: Session, keep: timedelta, now: datetime) -> int:
    """The same for what was dated ahead when :func:`hash_people` came by, and is too old to be sent by now.

    The ledger remembers the moment up to which it looked.
    """
    hashed = 0
    parameters = {"state": _DATED_AHEAD, "before": now - keep, "oldest_ms": sendable(now).start_ms, "rows": _BATCH_ROWS}
    (up_to,) = session.fetch("retention/hashed_up_to", parameters)
    while found := session.fetch("retention/page_of_dated_ahead", parameters | {"place": up_to.place}):
        hashed += session.fetch("retention/hash_people", parameters | {"ids": [row.id for row in found]})[0].conversions
    session.execute("retention/set_hashed_up_to", parameters | {"place": parameters["oldest_ms"], "id": 0})
    return hashed
