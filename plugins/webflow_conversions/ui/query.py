"""Query parameters: filters, orders, pages, search texts; each of limited length, and text that PostgreSQL can store."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from webflow_conversions.ledger.selection import LONGEST_TEXT, Filter, Only, Order, Place
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.states import State
from webflow_conversions.ui.listing import USUAL_COLUMNS, Column

LARGEST_NUMBER = 2**63 - 1
"""The largest bigint of PostgreSQL."""


def storable(text: str) -> str:
    """Text that PostgreSQL can store, and so may be looked for."""
    if "\x00" in text:
        raise ValueError("a NUL character cannot be looked for")
    return text


def _blank_is_none(value: str | None) -> str | None:
    return value or None


BlankIsNone = BeforeValidator(_blank_is_none)
Text = Annotated[
    Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(storable)] | None, BlankIsNone, Query()
]
PathNumber = Annotated[int, Path(ge=1, le=LARGEST_NUMBER)]
Number = Annotated[Annotated[int, Field(ge=1, le=LARGEST_NUMBER)] | None, BlankIsNone, Query()]
Day = Annotated[date | None, BlankIsNone, Query()]
Money = Annotated[Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)] | None, BlankIsNone, Query()]


async def selection_of(
    id: Number = None,  # noqa: A002 - the name of the query parameter
    state: Annotated[State | None, BlankIsNone, Query()] = None,
    reason: Text = None,
    source: Text = None,
    run: Number = None,
    only: Annotated[Only | None, BlankIsNone, Query()] = None,
    user_of: Number = None,
    key_of: Number = None,
    conversion: Text = None,
    written: Text = None,
    begins: Text = None,
    attribution: Annotated[Attribution | None, BlankIsNone, Query()] = None,
    attribution_reason: Text = None,
    happened_from: Day = None,
    happened_to: Day = None,
    value_from: Money = None,
    value_to: Money = None,
) -> Filter:
    """The filter that the query parameters describe."""
    if sum(one is not None for one in (id, user_of, key_of, conversion, written, begins)) > 1:
        raise HTTPException(422, "Give only one of id, user_of, key_of, conversion, written and begins.")
    return Filter(
        id=id,
        state=state,
        reason=reason,
        source=source,
        run=run,
        only=only,
        user_of=user_of,
        key_of=key_of,
        conversion=conversion,
        written=written,
        begins=begins,
        attribution=attribution,
        attribution_reason=attribution_reason,
        happened_from=happened_from,
        happened_to=happened_to,
        value_from=value_from,
        value_to=value_to,
    )


async def order_of(sort: Text = None) -> Order | None:
    """The order that ``sort`` asks for: ``happened``, ``value``, ``state`` or ``settled``, with ``-`` for the last first."""
    try:
        return Order.parse(sort) if sort else None
    except ValueError:
        raise HTTPException(422, "sort is happened, value, state or settled, with - before it for the other direction.") from None


async def after(
    after: Annotated[Annotated[str, StringConstraints(max_length=50)] | None, BlankIsNone, Query()] = None,
) -> Place | None:
    """The end of the page before, from its ``next``."""
    try:
        return Place.parse(after) if after else None
    except ValueError:
        raise HTTPException(422, "after is no place that a page gave.") from None


async def columns_of(columns: Annotated[list[Column] | None, Query(max_length=len(Column))] = None) -> list[Column]:
    """The columns that are chosen, in their order; the usual ones if none are."""
    chosen = columns or USUAL_COLUMNS
    return [column for column in Column if column in chosen]


Selection = Annotated[Filter, Depends(selection_of)]
Columns = Annotated[list[Column], Depends(columns_of)]
ListOrder = Annotated[Order | None, Depends(order_of)]
After = Annotated[Place | None, Depends(after)]
