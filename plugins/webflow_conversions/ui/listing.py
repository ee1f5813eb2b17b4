"""A list of conversions as people see it: its rows, its summary, its order, its columns, the actions for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.ledger.actions import Action
from webflow_conversions.ledger.search import MOST_COUNTED, Conversions
from webflow_conversions.ledger.selection import Filter, Order, Place, Sort
from webflow_conversions.rules.states import EXPLANATIONS, REFUSED, REFUSED_PREFIX, Reason, State
from webflow_conversions.ui.conversion import ConversionView, conversion_view
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.timeline import moment_of
from webflow_conversions.ui.words import reason_words


class Column(StrEnum):
    """A column of a list, beside the conversion itself."""

    HAPPENED = "happened"
    VALUE = "value"
    STATE = "state"
    WHY = "why"
    SETTLED = "settled"
    SOURCE = "source"
    EVENT = "event"
    USER = "user"
    CUSTOMER = "customer"
    COUNTS = "counts"
    ATTEMPTS = "attempts"
    ANSWER = "answer"
    FIRST_READ = "first_read"
    DETAIL = "detail"


COLUMN_WORDS: Mapping[Column, str] = {
    Column.HAPPENED: "Happened",
    Column.VALUE: "Value",
    Column.STATE: "State",
    Column.WHY: "What becomes of it",
    Column.SETTLED: "Settled",
    Column.SOURCE: "Source",
    Column.EVENT: "Event",
    Column.USER: "User",
    Column.CUSTOMER: "Customer",
    Column.COUNTS: "Will it count",
    Column.ATTEMPTS: "Attempts",
    Column.ANSWER: "Last answer",
    Column.FIRST_READ: "First read",
    Column.DETAIL: "The source gave",
}
USUAL_COLUMNS = (Column.HAPPENED, Column.VALUE, Column.STATE, Column.WHY)
"""The columns of a list for which none are chosen."""
ORDERS: Mapping[str, str] = {
    "-happened": "newest first",
    "happened": "oldest first",
    "-value": "highest value first",
    "value": "lowest value first",
    "state": "by state",
    "-settled": "last settled first",
    "settled": "first settled first",
}
"""The orders to choose from, in words."""

_ACTIONS: Mapping[State, frozenset[Action]] = {
    State.READY: frozenset({Action.TAKE_BACK, Action.WRITE_OFF}),
    State.HELD: frozenset(Action),
    State.FUTURE: frozenset({Action.TAKE_BACK}),
    State.SENDING: frozenset({Action.SEND_AGAIN, Action.WRITE_OFF}),
    State.ACCEPTED: frozenset(),
    State.REJECTED: frozenset({Action.SEND_AGAIN}),
    State.EXPIRED: frozenset(),
    State.WITHDRAWN: frozenset({Action.SEND_AGAIN}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionsPage:
    """Some conversions of a list; ``next`` given as ``after`` leads to those behind them, and is None on the last page.

    ``is_ordered``: in the order that was asked for; a list of more than 100,000 stays in its own.
    """

    conversions: Sequence[ConversionView]
    next: str | None
    currency: str | None
    is_ordered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSummary:
    """How many conversions a list has, what they are worth, and when the first and the last happened.

    ``is_cut``: more than ``conversions``, and nothing else is known. ``is_counted``: it could be counted in time.
    """

    conversions: int = 0
    value: Decimal | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    is_cut: bool = False
    is_counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """A page of a list with all that stands around it; ``sources`` are those to choose from."""

    page: ConversionsPage
    summary: ListSummary
    sources: Sequence[str]
    now: datetime


def conversions_page(
    selection: Filter, rows: int, after: Place | None = None, order: Order | None = None, *, with_user_ids: bool
) -> ConversionsPage:
    """A page of at most ``rows`` conversions."""
    with reading() as session:
        return _page(Conversions(session), selection, rows, after, order, Clock().now(), with_user_ids=with_user_ids)


def list_summary(selection: Filter) -> ListSummary:
    """The summary of a list."""
    with reading() as session:
        return _summary(Conversions(session), selection)


def list_view(selection: Filter, rows: int, after: Place | None, order: Order | None, *, with_user_ids: bool) -> ListView:
    """A page of a list with its summary."""
    now = Clock().now()
    with reading() as session:
        conversions = Conversions(session)
        return ListView(
            page=_page(conversions, selection, rows, after, order, now, with_user_ids=with_user_ids),
            summary=_summary(conversions, selection),
            sources=conversions.sources(),
            now=now,
        )


def useful_actions(selection: Filter) -> frozenset[Action]:
    """The actions that can do something to conversions of a list, by its state."""
    state = EXPLANATIONS[Reason(selection.reason)].state if selection.reason in set(Reason) else selection.state
    return _ACTIONS[state] if state is not None else frozenset(Action)


def reason_choices(chosen: str | None) -> Mapping[State, Mapping[str, str]]:
    """The reasons to choose from, in words, by state; among them the one that is chosen, if it is a refusal with its status."""
    found: dict[State, dict[str, str]] = {}
    for reason, explanation in EXPLANATIONS.items():
        found.setdefault(explanation.state, {})[reason] = reason_words(reason)
    refusals = [REFUSED, *([chosen] if chosen and chosen.startswith(REFUSED_PREFIX) else [])]
    found[State.REJECTED] = {reason: reason_words(reason) for reason in refusals} | found[State.REJECTED]
    return {state: dict(sorted(found[state].items(), key=lambda choice: choice[1])) for state in State if state in found}


def next_order(sort: Sort, order: Order | None) -> Order:
    """The order to which the heading of a column leads: the other direction if the list is in its order already."""
    first = sort is not Sort.STATE
    return Order(sort=sort, descending=first if order is None or order.sort is not sort else not order.descending)


def _page(
    conversions: Conversions,
    selection: Filter,
    rows: int,
    after: Place | None,
    order: Order | None,
    now: datetime,
    *,
    with_user_ids: bool,
) -> ConversionsPage:
    page = conversions.page(selection, rows, after, order)
    is_rehearsing = conversions.is_rehearsing()
    return ConversionsPage(
        conversions=[
            conversion_view(one, now, with_user_ids=with_user_ids, is_rehearsing=is_rehearsing) for one in page.conversions
        ],
        next=str(page.next) if page.next else None,
        currency=conversions.currency(),
        is_ordered=page.is_ordered,
    )


def _summary(conversions: Conversions, selection: Filter) -> ListSummary:
    found = conversions.summary(selection)
    if found is None:
        return ListSummary(is_counted=False)
    if found.is_cut:
        return ListSummary(conversions=MOST_COUNTED, is_cut=True)
    return ListSummary(
        conversions=found.conversions, value=found.value, first_at=moment_of(found.first_ms), last_at=moment_of(found.last_ms)
    )
