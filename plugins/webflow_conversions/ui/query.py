"""Query parameters: filters, pages, search texts; each of limited length, and text that PostgreSQL can store."""

from typing import Annotated

from fastapi import Depends, HTTPException, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from webflow_conversions.ledger.search import LONGEST_TEXT, Filter, Only, Place
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.states import State

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


def selection_of(
    id: Number = None,  # noqa: A002 - the name of the query parameter
    state: Annotated[State | None, BlankIsNone, Query()] = None,
    reason: Text = None,
    source: Text = None,
    run: Number = None,
    only: Annotated[Only | None, BlankIsNone, Query()] = None,
    user_of: Number = None,
    conversion: Text = None,
    begins: Text = None,
    attribution: Annotated[Attribution | None, BlankIsNone, Query()] = None,
    attribution_reason: Text = None,
) -> Filter:
    """The filter that the query parameters describe."""
    if sum(one is not None for one in (id, user_of, conversion, begins)) > 1:
        raise HTTPException(422, "Give only one of id, user_of, conversion and begins.")
    return Filter(
        id=id,
        state=state,
        reason=reason,
        source=source,
        run=run,
        only=only,
        user_of=user_of,
        conversion=conversion,
        begins=begins,
        attribution=attribution,
        attribution_reason=attribution_reason,
    )


def after(after: Annotated[Annotated[str, StringConstraints(max_length=50)] | None, BlankIsNone, Query()] = None) -> Place | None:
    """The end of the page before, from its ``next``."""
    try:
        return Place.parse(after) if after else None
    except ValueError:
        raise HTTPException(422, "after is no place that a page gave.") from None


Selection = Annotated[Filter, Depends(selection_of)]
After = Annotated[Place | None, Depends(after)]
