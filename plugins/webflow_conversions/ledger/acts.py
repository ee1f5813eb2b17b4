"""What people do to conversions: send them again, write them off; each act is recorded with who did it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg2.extras import Json

from webflow_conversions.ledger.search import BATCH_ROWS, Filter, composed
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.rules.window import oldest_sendable_ms

MOST_CONVERSIONS = 100_000
"""What one act may touch."""


DOWNLOAD = "download"
"""An act that changes nothing, and is recorded."""


class Decision(StrEnum):
    """What can be done to conversions."""

    SEND_AGAIN = "send_again"
    WRITE_OFF = "write_off"


class Fate(StrEnum):
    """What an act comes to for a conversion (``ledger/sql/parts/fate_of_*.sql``).

    ``changed`` is one that it did; ``busy`` is one that a push or another act is working on at this moment.
    """

    CHANGED = "changed"
    HELD = "held"
    WAITS = "waits"
    TOO_OLD = "too_old"
    UNFIT = "unfit"
    AWAITED = "awaited"
    ACCEPTED = "accepted"
    NOT_IN_DOUBT = "not_in_doubt"
    BUSY = "busy"


Fates = Mapping[Fate, int]
"""Conversions by what an act came to, or would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An act: who, when, what, on which conversions (``filter``, as the page's query parameters), and what came of it.

    ``run_id`` is the run that was started with it.
    """

    id: int
    at: datetime
    person: str
    act: str
    filter: Mapping[str, str]
    conversions: int
    outcome: Fates
    run_id: str | None


class Acts:
    """The acts on a ledger."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def preview(self, decision: Decision, ids: Sequence[int], now: datetime) -> Fates:
        """What an act would come to."""
        fates: dict[Fate, int] = {}
        for batch in _batches(ids):
            with self._session.transaction() as cursor:
                parameters = {"ids": batch, "oldest_ms": oldest_sendable_ms(now)}
                cursor.execute(composed("act_preview", fate=f"fate_of_{decision}"), parameters)
                _add(fates, cursor.fetchall())
        return fates

    def do(self, decision: Decision, chosen: Filter, ids: Sequence[int], person: str, now: datetime) -> int:
        """Send again, or write off, batch by batch, what the rules of the ledger let and nobody else is working on.

        :return: the number of the act.
        :raises Unavailable: if the ledger went away; what was done until then is recorded.
        """
        act = self.begin(decision, chosen, person)
        fates: dict[Fate, int] = {}
        for batch in _batches(ids):
            with self._session.transaction() as cursor:
                cursor.execute(statement("act_lock"), {"ids": batch})
                free = [row.id for row in cursor.fetchall()]
                cursor.execute(composed(f"act_{decision}"), {"ids": free, "oldest_ms": oldest_sendable_ms(now), "person": person})
                rows = cursor.fetchall()
                _add(fates, rows)
                if len(batch) > len(free):
                    fates[Fate.BUSY] = fates.get(Fate.BUSY, 0) + len(batch) - len(free)
                touched = sum(row.conversions for row in rows if row.fate in (Fate.CHANGED, Fate.HELD))
                cursor.execute(statement("act_count"), {"id": act, "conversions": touched, "outcome": Json(fates)})
        return act

    def begin(self, act: str, chosen: Filter, person: str) -> int:
        """Record that somebody does something; its number."""
        (row,) = self._session.fetch("act_begin", {"person": person, "act": act, "filter": Json(chosen.query())})
        return int(row.id)

    def count(self, act: int, conversions: int) -> None:
        """Record that an act touched so many conversions more."""
        self._session.execute("act_count", {"id": act, "conversions": conversions, "outcome": None})

    def started(self, act: int, run_id: str) -> None:
        """Record the run that was started with an act."""
        self._session.execute("act_run", {"id": act, "run_id": run_id})

    def one(self, number: int) -> Act | None:
        """The act of this number."""
        return next(iter(self._fetch(1, number=number)), None)

    def last(self, rows: int, before: int | None = None) -> list[Act]:
        """The last acts, the newest first; before the one of this number."""
        return self._fetch(rows, before=before)

    def _fetch(self, rows: int, *, before: int | None = None, number: int | None = None) -> list[Act]:
        found = self._session.fetch("act_list", {"rows": rows, "before": before, "id": number})
        return [Act(**row._asdict() | {"outcome": {Fate(fate): count for fate, count in row.outcome.items()}}) for row in found]


def _batches(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + BATCH_ROWS]) for start in range(0, len(ids), BATCH_ROWS)]


def _add(fates: dict[Fate, int], rows: Sequence[Any]) -> None:
    for row in rows:
        fates[Fate(row.fate)] = fates.get(Fate(row.fate), 0) + row.conversions
