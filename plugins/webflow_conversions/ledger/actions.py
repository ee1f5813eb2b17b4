"""Actions of people on conversions: send again, take back, write off; each is recorded with the person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg2.extras import Json

from webflow_conversions.ledger.search import BATCH_ROWS
from webflow_conversions.ledger.selection import Filter
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.rules.window import sendable

MOST_CONVERSIONS = 100_000
"""Conversions that one action may touch."""


DOWNLOAD = "download"
"""The action that changes nothing, and is recorded."""


class Action(StrEnum):
    """An action on conversions."""

    SEND_AGAIN = "send_again"
    TAKE_BACK = "take_back"
    WRITE_OFF = "write_off"


class Effect(StrEnum):
    """The effect of an action on a conversion (``ledger/sql/parts/effect_of_*.sql``).

    ``changed`` is done; ``busy`` is a conversion that a push or another action has locked at this moment.
    """

    CHANGED = "changed"
    HELD = "held"
    LATER = "later"
    WAITS = "waits"
    TOO_OLD = "too_old"
    UNFIT = "unfit"
    AWAITED = "awaited"
    ACCEPTED = "accepted"
    FORGOTTEN = "forgotten"
    IN_DOUBT = "in_doubt"
    NOT_IN_DOUBT = "not_in_doubt"
    NOT_WAITING = "not_waiting"
    BUSY = "busy"


USEFUL = frozenset({Effect.CHANGED, Effect.HELD, Effect.LATER})
"""Effects for which an action is worth doing: the row changes, or the next run looks again for its user."""

Effects = Mapping[Effect, int]
"""Number of conversions by effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """A line of the action log; ``filter`` are the page's query parameters, ``outcome`` the conversions by effect.

    ``run_id`` is the run that was started with it.
    """

    id: int
    at: datetime
    person: str
    action: str
    filter: Mapping[str, str]
    conversions: int
    outcome: Effects
    run_id: str | None


class Actions:
    """The actions on a ledger."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def preview(self, action: Action, ids: Sequence[int], now: datetime) -> Effects:
        """Count the effects that an action would have."""
        effects: dict[Effect, int] = {}
        for batch in _batches(ids):
            with self._session.transaction() as cursor:
                cursor.execute(statement("actions/preview", effect=f"effect_of_{action}"), {"ids": batch, **_moments(now)})
                _add(effects, cursor.fetchall())
        return effects

    def do(self, action: Action, selection: Filter, ids: Sequence[int], person: str, now: datetime) -> int:
        """Do an action, batch by batch, on the conversions that the rules allow and no other session has locked.

        :return: the number of the action.
        :raises Unavailable: if the ledger went away; what was done until then is recorded.
        """
        number = self.begin(action, selection, person)
        effects: dict[Effect, int] = {}
        for batch in _batches(ids):
            with self._session.transaction() as cursor:
                cursor.execute(statement("actions/lock"), {"ids": batch})
                free = [row.id for row in cursor.fetchall()]
                cursor.execute(statement(f"actions/{action}"), {"ids": free, "person": person, **_moments(now)})
                rows = cursor.fetchall()
                _add(effects, rows)
                if len(batch) > len(free):
                    effects[Effect.BUSY] = effects.get(Effect.BUSY, 0) + len(batch) - len(free)
                touched = sum(row.conversions for row in rows if row.effect in USEFUL)
                cursor.execute(statement("actions/count"), {"id": number, "conversions": touched, "outcome": Json(effects)})
        return number

    def begin(self, action: str, selection: Filter, person: str) -> int:
        """Record an action; returns its number."""
        (row,) = self._session.fetch("actions/begin", {"person": person, "action": action, "filter": Json(selection.query())})
        return int(row.id)

    def count(self, number: int, conversions: int) -> None:
        """Add to the number of conversions that an action touched."""
        self._session.execute("actions/count", {"id": number, "conversions": conversions, "outcome": None})

    def started(self, number: int, run_id: str) -> None:
        """Record the run that was started with an action."""
        self._session.execute("actions/run", {"id": number, "run_id": run_id})

    def one(self, number: int) -> ActionRecord | None:
        """The action of this number."""
        return next(iter(self._fetch(1, number=number)), None)

    def last(self, rows: int, before: int | None = None) -> list[ActionRecord]:
        """The last actions, the newest first; before the one of this number."""
        return self._fetch(rows, before=before)

    def _fetch(self, rows: int, *, before: int | None = None, number: int | None = None) -> list[ActionRecord]:
        found = self._session.fetch("actions/list", {"rows": rows, "before": before, "id": number})
        return [
            ActionRecord(**row._asdict() | {"outcome": {Effect(effect): count for effect, count in row.outcome.items()}})
            for row in found
        ]


def _moments(now: datetime) -> dict[str, int]:
    """The bounds of the timestamps that may be sent now: from ``oldest_ms``, before ``end_ms``."""
    interval = sendable(now)
    return {"oldest_ms": interval.start_ms, "end_ms": interval.end_ms}


def _batches(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + BATCH_ROWS]) for start in range(0, len(ids), BATCH_ROWS)]


def _add(effects: dict[Effect, int], rows: Sequence[Any]) -> None:
    for row in rows:
        effects[Effect(row.effect)] = effects.get(Effect(row.effect), 0) + row.conversions
