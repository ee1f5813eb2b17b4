"""Finding conversions in the ledger: by filter, in pages, and by an ID."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any
from urllib.parse import unquote

from psycopg2.errors import QueryCanceled
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.errors import Unavailable, Unusable
from webflow_conversions.ledger.retention import hashed_user_id
from webflow_conversions.ledger.selection import Filter, Only, Order, Place, Sort
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.rules.credit import EXPLANATIONS, Attribution, AttributionReason
from webflow_conversions.rules.event import action_id, source_prefix
from webflow_conversions.rules.states import REFUSED, State, explain
from webflow_conversions.rules.window import MAX_AGE, to_milliseconds
from webflow_conversions.rules.written import written_forms

MOST_KINDS = 10_000
"""Destinations × sources × event names that a search for a conversion ID looks through."""
MOST_LOOKUPS = 20_000
"""Action IDs that a search for the forms of one text looks up."""
MOST_COUNTED = 100_000
"""Conversions of a list that are counted, added up, and put into another order."""
MOST_MERGED = 10_000
"""Conversions up to which the list of a source with several destinations can be read in another order."""
COUNT_SECONDS = 2
"""Longest time that counting a list takes."""
FEW_DAYS = timedelta(days=7)
"""Days of which all conversions are read to find the newest; of more days, the newest of all are read on to the first."""
BATCH_ROWS = 1_000
_KIND = re.compile(r"([^/?]*)/([^/?]*)/([^/?]*)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A row of the ledger. ``is_in_doubt`` is defined in ``ledger/sql/parts/is_in_doubt.sql``.

    ``is_rehearsed``: it waits, and only rehearsals could have sent it so far.

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
    is_rehearsed: bool = False
    identity_key: str | None = None
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
    """Some conversions of a list, and where the next page begins; None after the last one.

    ``is_ordered``: in the order that was asked for; a list of more than ``MOST_COUNTED`` stays in its own.
    """

    conversions: Sequence[Conversion]
    next: Place | None
    is_ordered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The number of conversions of a list, the sum of their values, and the first and the last moment in UTC milliseconds.

    ``is_cut``: there are more than ``MOST_COUNTED``, and only that is known.
    """

    conversions: int
    value: Decimal | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    is_cut: bool = False


_Lookup = tuple[str, dict[str, Any]]
"""A statement that finds conversions, and its parameters beside those of the filters."""


class Conversions:
    """The conversions of a ledger, for people; nothing is changed."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, selection: Filter, rows: int, after: Place | None = None, order: Order | None = None) -> Page:
        """A page of at most ``rows`` conversions; in the list's own order if ``order`` is None.

        :raises Unavailable: if the ledger is away, or the filter costs more time than there is.
        """
        with self._session.transaction() as cursor:
            if order is not None and (page := _ordered(cursor, selection, rows, after, order)) is not None:
                return page
            found = _find(cursor, selection, rows + 1, after)
            conversions = _fetch(cursor, [identifier for identifier, _ in found[:rows]])
        last = found[rows - 1] if len(found) > rows else None
        place = Place(place=last[1], id=last[0]) if last else None
        return Page(conversions=conversions, next=place, is_ordered=order is None)

    def summary(self, selection: Filter) -> Summary | None:
        """The summary of a list; None if it takes longer than ``COUNT_SECONDS``."""
        try:
            with self._session.transaction() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", (COUNT_SECONDS * 1000,))
                lookups = _lookups(cursor, selection)
                parts = [_run(cursor, "search/summary", selection, lookup, MOST_COUNTED + 1)[0] for lookup in lookups]
        except Unavailable as error:
            if isinstance(error.__cause__, QueryCanceled):
                return None
            raise
        conversions = sum(part.conversions for part in parts)
        if conversions > MOST_COUNTED:
            return Summary(conversions=MOST_COUNTED, is_cut=True)
        first, last = [part.first_ms for part in parts], [part.last_ms for part in parts]
        return Summary(
            conversions=conversions,
            value=sum((part.value for part in parts if part.value is not None), Decimal()),
            first_ms=min((one for one in first if one is not None), default=None),
            last_ms=max((one for one in last if one is not None), default=None),
        )

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
        return next((row.currency for row in self._session.fetch("search/last_run", {})), None)

    def is_rehearsing(self) -> bool:
        """Whether nothing is sent, as of the last run (``delivery.mode``)."""
        return any(row.is_rehearsal for row in self._session.fetch("search/last_run", {}))

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
        return self._of_person(_also_hashed(user_ids), [])

    def of_key(self, keys: Sequence[str]) -> int | None:
        """The number of the latest conversion that has one of the identity keys; None if there is none.

        Keys of conversions that finished long ago are hashed, each in its own way, and are not found.
        """
        return self._of_person([], keys)

    def _of_person(self, user_ids: Sequence[str], keys: Sequence[str]) -> int | None:
        with self._session.transaction() as cursor:
            found = _run(cursor, "parts/find_of_person", Filter(), _of_person(user_ids, keys), 1)
            return next((row.id for row in found), None)


def _find(cursor: Cursor, selection: Filter, rows: int, after: Place | None = None) -> list[tuple[int, int]]:
    """The numbers and places of a page of conversions, in the list's own order."""
    lookups = _lookups(cursor, selection, after)
    parts = [[(row.id, row.place) for row in _run(cursor, f"parts/{one[0]}", selection, one, rows, after)] for one in lookups]
    return parts[0] if len(parts) == 1 else sorted(chain.from_iterable(parts), reverse=True)[:rows]


def _ordered(cursor: Cursor, selection: Filter, rows: int, after: Place | None, order: Order) -> Page | None:
    """A page in another order than the list's own; None if the list is too long for it.

    PostgreSQL skips what comes before the page, so that a page far behind costs this process no more than the first one. Of a
    source with several destinations the parts are merged here, up to ``MOST_MERGED``.
    """
    lookups = _lookups(cursor, selection)
    before = min(max(after.place, 0), MOST_COUNTED if len(lookups) == 1 else MOST_MERGED) if after else 0
    skipped = before if len(lookups) == 1 else 0
    asked = {
        "sort": order.sort,
        "direction": -1 if order.descending else 1,
        "states": list(State),
        "skipped": skipped,
        "most": before - skipped + rows + 1,
    }
    parts = [_run(cursor, "search/sorted", selection, (name, {**more, **asked}), MOST_COUNTED + 1) for name, more in lookups]
    if sum(part[0].found for part in parts if part) > MOST_COUNTED:
        return None
    by_state = order.sort is Sort.STATE
    merged = sorted(
        chain.from_iterable(parts),
        key=lambda row: (
            row.place is None,
            row.place or 0,
            by_state and row.reason is None,
            (by_state and row.reason) or "",
            -row.id,
        ),
    )
    start = before - skipped
    found = [row.id for row in merged[start : start + rows + 1]]
    is_more = len(found) > rows and (len(lookups) == 1 or before + rows <= MOST_MERGED)
    place = Place(place=before + rows, id=found[rows - 1]) if is_more else None
    return Page(conversions=_fetch(cursor, found[:rows]), next=place)


def _lookups(cursor: Cursor, selection: Filter, after: Place | None = None) -> list[_Lookup]:
    """The statements that together find a list: none for what no conversion can be, more than one for several destinations."""
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
    match selection:
        case Filter(id=int(number)):
            return [("find_by_id", {"number": number})]
        case Filter(conversion=str(text)):
            return [("find_by_action_id", {"action_ids": [text, *_action_ids(cursor, [text])]})]
        case Filter(written=str(text)):
            forms = written_forms(text)
            return [("find_by_action_id", {"action_ids": [*forms, *_action_ids(cursor, forms)]})]
        case Filter(begins=str(text)):
            return [("find_by_beginning", {"prefixes": _action_ids(cursor, [text]), "behind": _action_id_of(cursor, after)})]
        case Filter(user_of=int(number)):
            users = [one.user_id for one in _fetch(cursor, [number]) if one.user_id is not None]
            return [_of_person(_also_hashed(users), [])] if users else []
        case Filter(key_of=int(number)):
            keys = [one.identity_key for one in _fetch(cursor, [number]) if one.identity_key is not None]
            return [_of_person([], keys)] if keys else []
        case Filter(only=Only() as only):
            name = f"find_{only}"
        case Filter(state=State.HELD | State.FUTURE):
            name = "find_waiting"
        case Filter(state=State.REJECTED | State.EXPIRED | State.WITHDRAWN):
            name = "find_turned_away"
        case Filter(state=State.READY | State.SENDING as state):
            name = f"find_{state}"
        case Filter(happened_from=date() as first, happened_to=date() as last) if last - first < FEW_DAYS:
            name = "find_happened"
        case Filter(attribution=Attribution()):
            name = "find_judged"
        case Filter(source=str(source)):
            cursor.execute(statement("search/destinations"))
            prefixes = [source_prefix(row.destination, source) for row in cursor.fetchall()]
            return [("find_of_source", {"prefix": prefix}) for prefix in prefixes]
        case _:
            name = "find_any"
    return [(name, {"state": selection.state, "attribution": selection.attribution})]


def _of_person(user_ids: Sequence[str], keys: Sequence[str]) -> _Lookup:
    """The lookup of a user's or a customer's conversions."""
    return "find_of_person", {"user_ids": list(user_ids) or None, "keys": list(keys) or None}


def _also_hashed(user_ids: Sequence[str]) -> list[str]:
    """The user IDs, and how the ledger keeps them of conversions that finished long ago."""
    return [*user_ids, *map(hashed_user_id, user_ids)]


def _state_of(reason: str) -> State | None:
    """The only state that has the reason; None for a reason that no conversion has."""
    try:
        return State.REJECTED if reason == REFUSED else explain(reason).state
    except KeyError:
        return None


def _attribution_of(reason: str) -> Attribution | None:
    """The only verdict that has the reason; None for a reason that no verdict has."""
    try:
        return EXPLANATIONS[AttributionReason(reason)].attribution
    except ValueError:
        return None


def _run(cursor: Cursor, name: str, selection: Filter, lookup: _Lookup, rows: int, after: Place | None = None) -> list[Any]:
    """The rows of a statement over what a lookup finds: ``{found}`` in it stands for that."""
    extractions = None
    if selection.run is not None:
        cursor.execute(statement("runs/extractions"), {"run": selection.run})
        extractions = [row.id for row in cursor.fetchall()]
    found, more = lookup
    parameters: Mapping[str, Any] = {
        "state": selection.state,
        "reason": selection.reason,
        "source": selection.source,
        "extractions": extractions,
        "only": selection.only,
        "attribution": selection.attribution,
        "attribution_reason": selection.attribution_reason,
        "from_ms": _midnight_ms(selection.happened_from),
        "end_ms": _midnight_ms(selection.happened_to, days=1),
        "value_from": selection.value_from,
        "value_to": selection.value_to,
        "place": after.place if after else None,
        "id": after.id if after else None,
        "behind": None,
        "rows": rows,
        **more,
    }
    cursor.execute(statement(name, found=found), parameters)
    return list(cursor.fetchall())


def _midnight_ms(day: date | None, *, days: int = 0) -> int | None:
    """The midnight UTC with which a day begins, and ``days`` later; None for no day, and behind the last one of the calendar."""
    try:
        return None if day is None else to_milliseconds(datetime.combine(day, time(), UTC) + timedelta(days=days))
    except OverflowError:
        return None


def _fetch(cursor: Cursor, ids: Sequence[int]) -> list[Conversion]:
    cursor.execute(statement("search/conversions_by_id"), {"ids": list(ids), "max_age": MAX_AGE})
    return [Conversion(**row._asdict() | {"state": State(row.state)}) for row in cursor.fetchall()]


def _action_id_of(cursor: Cursor, after: Place | None) -> str | None:
    """The action ID with which the last page ended."""
    if after is None:
        return None
    found = _fetch(cursor, [after.id])
    if not found:
        raise Unusable("The conversion with which the last page ended was removed from the ledger: begin from the top.")
    return found[0].action_id


def _action_ids(cursor: Cursor, conversion_ids: Sequence[str]) -> list[str]:
    """The possible action IDs of conversion IDs, with all destinations, sources and event names of the ledger.

    At most ``MOST_LOOKUPS``: of many kinds, those of the first conversion IDs.
    """
    kinds = _kinds(cursor)
    few = conversion_ids[: max(1, MOST_LOOKUPS // max(1, len(kinds)))]
    return [action_id(*kind, conversion_id) for conversion_id in few for kind in kinds]


def _kinds(cursor: Cursor) -> list[tuple[str, str, str]]:
    """Each destination, source and event name that stand together in the ledger."""
    cursor.execute(statement("search/kinds_of_conversions"), {"kinds": MOST_KINDS})
    found = (_KIND.match(row.action_id) for row in cursor.fetchall())
    return [(unquote(match[1]), unquote(match[2]), unquote(match[3])) for match in found if match]
