"""Finding conversions in the ledger: by filter, in pages, and by an ID."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from typing import Any, Self
from urllib.parse import unquote

from psycopg2.extensions import cursor as Cursor

from webflow_conversions.errors import Unusable
from webflow_conversions.ledger.retention import hashed_user_id
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.rules.credit import EXPLANATIONS, Attribution, AttributionReason
from webflow_conversions.rules.event import action_id, source_prefix
from webflow_conversions.rules.states import State, explain

LONGEST_TEXT = 600
MOST_KINDS = 10_000
"""Destinations × sources × event names that a search for a conversion ID looks through."""
BATCH_ROWS = 1_000
FARTHEST_PLACE = 2**57
"""Some 4,500 years in microseconds, on both sides of 1970: a moment that PostgreSQL's timestamps hold."""

_KIND = re.compile(r"([^/?]*)/([^/?]*)/([^/?]*)/")


class Only(StrEnum):
    """A filter of a list, beside its state."""

    IN_DOUBT = "in_doubt"
    SENT_AGAIN = "sent_again"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which conversions: those for which all of it holds; None is any. ``run`` is the number of a run that read them.

    ``attribution`` is the verdict on them, ``attribution_reason`` its reason.

    Only one of these makes sense: ``id``, the ledger's number of one; ``conversion``, a conversion ID or an action ID;
    ``begins``, the beginning of a conversion ID; ``user_of``, the number of one of their user's.
    """

    id: int | None = None
    state: State | None = None
    reason: str | None = None
    source: str | None = None
    run: int | None = None
    only: Only | None = None
    user_of: int | None = None
    conversion: str | None = None
    begins: str | None = None
    attribution: Attribution | None = None
    attribution_reason: str | None = None

    def query(self) -> dict[str, str]:
        """As the page's query parameters."""
        return {name: str(value) for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page ended, in the order of its list."""

    place: int
    id: int

    def __str__(self) -> str:
        return f"{self.place}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Out of its text.

        :raises ValueError: for anything else.
        """
        place, _, identifier = text.partition(".")
        found = cls(place=int(place), id=int(identifier))
        if abs(found.place) >= FARTHEST_PLACE or abs(found.id) >= 2**63:
            raise ValueError(f"{text} is no place")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A row of the ledger. ``is_in_doubt`` is defined in ``ledger/sql/parts/is_in_doubt.sql``.

    ``forgotten_at`` is when the person behind it was removed. ``visit`` is the one that credits it: ``started_at``,
    ``last_active_at`` and ``first_viewed_at`` in UTC milliseconds, and ``readings``.
    """

    id: int
    destination: str
    source: str
    event_name: str | None
    conversion_id: str | None
    action_id: str
    action_timestamp_ms: int | None
    value: Decimal | None
    user_domain: str | None
    user_id: str | None
    state: State
    reason: str | None
    detail: str | None
    attempts: int
    attempts_in_doubt: int
    http_status: int | None
    trouble: str | None
    retry_at: datetime | None
    first_seen_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    changed_after_sent_at: datetime | None
    run_id: str
    is_in_doubt: bool
    forgotten_at: datetime | None = None
    attribution: str | None = None
    attribution_reason: str | None = None
    attribution_judged_at: datetime | None = None
    visit_id: str | None = None
    visit: Mapping[str, Any] | None = None
    minutes_from_activity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """An event in the history of a conversion: an attempt, a change, an action of a person."""

    at: datetime
    what: str
    http_status: int | None = None
    detail: str | None = None
    run_id: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some conversions of a list, and where the next page begins; None after the last one."""

    conversions: Sequence[Conversion]
    next: Place | None


class Conversions:
    """The conversions of a ledger, for people; nothing is changed."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, selection: Filter, rows: int, after: Place | None = None) -> Page:
        """A page of at most ``rows`` conversions.

        :raises Unavailable: if the ledger is away, or the filter costs more time than there is.
        """
        with self._session.transaction() as cursor:
            found = _find(cursor, selection, rows + 1, after)
            conversions = _fetch(cursor, [identifier for identifier, _ in found[:rows]])
        last = found[rows - 1] if len(found) > rows else None
        return Page(conversions=conversions, next=Place(place=last[1], id=last[0]) if last else None)

    def pages(self, selection: Filter) -> Iterator[Sequence[Conversion]]:
        """All conversions, page by page."""
        after: Place | None = None
        while True:
            page = self.page(selection, BATCH_ROWS, after)
            if page.conversions:
                yield page.conversions
            if page.next is None:
                return
            after = page.next

    def ids(self, selection: Filter, rows: int) -> list[int]:
        """The ledger's numbers of at most ``rows`` conversions."""
        with self._session.transaction() as cursor:
            return [identifier for identifier, _ in _find(cursor, selection, rows)]

    def sources(self) -> list[str]:
        """The names of the sources that the ledger has conversions of."""
        with self._session.transaction() as cursor:
            return sorted({source for _, source, _ in _kinds(cursor)})

    def currency(self) -> str | None:
        """The currency that the configuration names, as of the last run; None if it names none."""
        return next((row.currency for row in self._session.fetch("search/currency", {})), None)

    def one(self, identifier: int) -> Conversion | None:
        """The conversion of this number."""
        with self._session.transaction() as cursor:
            return next(iter(_fetch(cursor, [identifier])), None)

    def history(self, conversion: Conversion) -> list[HistoryEntry]:
        """The history of a conversion, in the order of time."""
        found = [
            HistoryEntry(
                at=row.at,
                what=row.what,
                http_status=row.http_status,
                detail=row.detail,
                run_id=row.run_id,
                person=row.person,
            )
            for row in self._session.fetch("search/history_of_conversion", {"conversion": conversion.id})
        ]
        read = self._session.fetch("search/extractions_of_conversion", {"conversion": conversion.id, "source": conversion.source})
        found += [HistoryEntry(at=row.at, what="read", run_id=row.run_id) for row in read]
        return sorted(found, key=lambda entry: entry.at)

    def of_user(self, user_ids: Sequence[str]) -> int | None:
        """The number of the latest conversion of a user, by the possible IDs of the user; None if there is none."""
        with self._session.transaction() as cursor:
            found = _run(cursor, "find_of_user", Filter(), 1, None, user_ids=_also_hashed(user_ids))
            return next((identifier for identifier, _ in found), None)


def _find(cursor: Cursor, selection: Filter, rows: int, after: Place | None = None) -> list[tuple[int, int]]:
    """The numbers and places of a page of conversions."""
    if selection.reason is not None:
        state = _state_of(selection.reason)
        if state is None or selection.state not in (None, state):
            return []
        selection = replace(selection, state=state)
    if selection.attribution_reason is not None:
        attribution = _attribution_of(selection.attribution_reason)
        if attribution is None or selection.attribution not in (None, attribution):
            return []
        selection = replace(selection, attribution=attribution)
    more: dict[str, Any] = {}
    match selection:
        case Filter(id=int(number)):
            name = "find_by_id"
            more = {"number": number}
        case Filter(conversion=str(text)):
            name = "find_by_action_id"
            more = {"action_ids": [text, *_action_ids(cursor, text)]}
        case Filter(begins=str(text)):
            name = "find_by_beginning"
            more = {"prefixes": _action_ids(cursor, text), "behind": _action_id_of(cursor, after)}
        case Filter(user_of=int(number)):
            name = "find_of_user"
            more = {"user_ids": _also_hashed([one.user_id for one in _fetch(cursor, [number]) if one.user_id is not None])}
        case Filter(only=Only() as only):
            name = f"find_{only}"
        case Filter(state=State.HELD | State.FUTURE):
            name = "find_waiting"
        case Filter(state=State.REJECTED | State.EXPIRED | State.WITHDRAWN):
            name = "find_turned_away"
        case Filter(state=State.READY | State.SENDING as state):
            name = f"find_{state}"
        case Filter(attribution=Attribution()):
            name = "find_judged"
        case Filter(source=str(source)):
            cursor.execute(statement("search/destinations"))
            prefixes = [source_prefix(row.destination, source) for row in cursor.fetchall()]
            parts = [_run(cursor, "find_of_source", selection, rows, after, prefix=prefix) for prefix in prefixes]
            return sorted(chain.from_iterable(parts), reverse=True)[:rows]
        case _:
            name = "find_any"
    return _run(cursor, name, selection, rows, after, **more)


def _also_hashed(user_ids: Sequence[str]) -> list[str]:
    """The user IDs, and how the ledger keeps them of conversions that finished long ago."""
    return [*user_ids, *map(hashed_user_id, user_ids)]


def _state_of(reason: str) -> State | None:
    """The only state that has the reason; None for a reason that no conversion has."""
    try:
        return explain(reason).state
    except KeyError:
        return None


def _attribution_of(reason: str) -> Attribution | None:
    """The only verdict that has the reason; None for a reason that no verdict has."""
    try:
        return EXPLANATIONS[AttributionReason(reason)].attribution
    except ValueError:
        return None


def _run(cursor: Cursor, name: str, selection: Filter, rows: int, after: Place | None, **more: Any) -> list[tuple[int, int]]:
    extractions = None
    if selection.run is not None:
        cursor.execute(statement("runs/extractions"), {"run": selection.run})
        extractions = [row.id for row in cursor.fetchall()]
    parameters: Mapping[str, Any] = {
        "state": selection.state,
        "reason": selection.reason,
        "source": selection.source,
        "extractions": extractions,
        "only": selection.only,
        "attribution": selection.attribution,
        "attribution_reason": selection.attribution_reason,
        "place": after.place if after else None,
        "id": after.id if after else None,
        "rows": rows,
        **more,
    }
    cursor.execute(statement(f"search/{name}"), parameters)
    return [(row.id, row.place) for row in cursor.fetchall()]


def _fetch(cursor: Cursor, ids: Sequence[int]) -> list[Conversion]:
    cursor.execute(statement("search/conversions_by_id"), {"ids": list(ids)})
    return [Conversion(**row._asdict() | {"state": State(row.state)}) for row in cursor.fetchall()]


def _action_id_of(cursor: Cursor, after: Place | None) -> str | None:
    """The action ID with which the last page ended."""
    if after is None:
        return None
    found = _fetch(cursor, [after.id])
    if not found:
        raise Unusable("The conversion with which the last page ended was removed from the ledger: begin from the top.")
    return found[0].action_id


def _action_ids(cursor: Cursor, conversion_id: str) -> list[str]:
    """The possible action IDs of a conversion ID, with all destinations, sources and event names of the ledger."""
    return [action_id(destination, source, event_name, conversion_id) for destination, source, event_name in _kinds(cursor)]


def _kinds(cursor: Cursor) -> list[tuple[str, str, str]]:
    """Each destination, source and event name that stand together in the ledger."""
    cursor.execute(statement("search/kinds_of_conversions"), {"kinds": MOST_KINDS})
    found = (_KIND.match(row.action_id) for row in cursor.fetchall())
    return [(unquote(match[1]), unquote(match[2]), unquote(match[3])) for match in found if match]
