"""The figures as JSON, for dashboards and alerts of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query, Request
from fastapi.openapi.utils import get_openapi
from pydantic import AfterValidator

from webflow_conversions import __version__
from webflow_conversions.ledger.actions import Action, ActionRecord, Actions
from webflow_conversions.ledger.search import LONGEST_TEXT, Conversions
from webflow_conversions.rules.states import EXPLANATIONS
from webflow_conversions.ui import desk
from webflow_conversions.ui.access import CanAct, from_our_script, may_act
from webflow_conversions.ui.conversion import Shown, Step, payload, shown, way
from webflow_conversions.ui.dag import customer_id
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.overview import Overview
from webflow_conversions.ui.query import LARGEST_NUMBER, After, Chosen, Number, holdable

MOST_ROWS = 1_000

router = APIRouter()
acting_router = APIRouter(dependencies=[Depends(may_act)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionsPage:
    """Some conversions of a list; give ``next`` as ``after`` for those behind them. It is null on the last page."""

    conversions: Sequence[Shown]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionInFull:
    """A conversion, its way, and the event as it went out, or would; null if it cannot be one."""

    conversion: Shown
    way: Sequence[Step]
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonInWords:
    """A reason, the state that it is for, what it means, and what to do about it."""

    reason: str
    state: str
    meaning: str
    remedy: str


@router.get("/openapi.json", include_in_schema=False)
def description(request: Request) -> dict[str, Any]:
    """This API in OpenAPI's words."""
    return get_openapi(
        title="Webflow off-site conversions",
        version=__version__,
        description=__doc__,
        routes=[route for route in request.app.routes if getattr(route, "path", "").startswith("/api/")],
        servers=[{"url": str(request.scope.get("root_path", "")) or "/"}],
    )


@router.get("/overview", summary="Where the night stands: verdict, funnel, reasons, what waits, 14 days, last runs")
def overview(run: Number = None) -> Overview:
    """Money is text with its exact decimals. ``run`` is the ledger's number of the run to look at."""
    return desk.recent.get(run)


@router.get("/reasons", summary="Every reason with its sentence and what to do")
def reasons() -> list[ReasonInWords]:
    """Refusals by the API come as ``refused_<status>`` besides."""
    return [
        ReasonInWords(reason=reason, state=explanation.state, meaning=explanation.meaning, remedy=explanation.remedy)
        for reason, explanation in EXPLANATIONS.items()
    ]


@router.get("/conversions", summary="Conversions by state, reason, source, run; or by what is known of one")
def conversions(
    chosen: Chosen, after: After, can_act: CanAct, rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100
) -> ConversionsPage:
    """User IDs are shortened for those who may not trigger the Dag."""
    with reading() as session:
        page = Conversions(session).page(chosen, rows, after)
    return ConversionsPage(
        conversions=[shown(conversion, in_clear=can_act) for conversion in page.conversions],
        next=str(page.next) if page.next else None,
    )


@router.get("/conversions/{id}", summary="A conversion with its way and its payload")
def conversion(id: Annotated[int, Path(ge=1, le=LARGEST_NUMBER)], can_act: CanAct) -> ConversionInFull:  # noqa: A002
    """``id`` is the ledger's number."""
    with reading() as session:
        ledger = Conversions(session)
        found = ledger.one(id)
        if found is None:
            raise HTTPException(404, "The ledger has no such conversion.")
        history = ledger.history(found)
    one = shown(found, in_clear=can_act)
    return ConversionInFull(
        conversion=one,
        way=way(one, history, desk.now()),
        payload=payload(found, customer_id(found.destination), in_clear=can_act),
    )


@router.post(
    "/search",
    summary="Conversions by conversion ID, action ID, user ID, or the beginning of a conversion ID",
    dependencies=[Depends(from_our_script)],
)
def search(
    text: Annotated[str, Body(embed=True, min_length=1, max_length=LONGEST_TEXT), AfterValidator(holdable)], can_act: CanAct
) -> ConversionsPage:
    """A POST, so that no log of addresses keeps a user ID. The first 100."""
    found = desk.search(text.strip())
    if found.one is not None:
        return ConversionsPage(conversions=[shown(found.one, in_clear=can_act)], next=None)
    if found.chosen is None:
        return ConversionsPage(conversions=[], next=None)
    with reading() as session:
        page = Conversions(session).page(found.chosen, 100)
    return ConversionsPage(conversions=[shown(one, in_clear=can_act) for one in page.conversions], next=None)


@acting_router.get("/actions", summary="Action log, the newest first")
def actions(rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100, before: Number = None) -> list[ActionRecord]:
    """``before`` is the number of the last action of the page before."""
    with reading() as session:
        return Actions(session).last(rows, before)


@acting_router.post(
    "/actions", summary="Send conversions again, or write off what is in doubt", dependencies=[Depends(from_our_script)]
)
def do_action(
    action: Annotated[Action, Body(embed=True)],
    chosen: Chosen,
    user: GetUserDep,
    start_run: Annotated[bool, Body(embed=True)] = False,
) -> desk.Done:
    """On what the query parameters choose, at most 100,000 at a time; with ``start_run``, a run starts that sends it.

    With a cookie in place of a bearer token, the header ``X-CSRF-Token`` has to hold the token of one of the page's forms.
    """
    return desk.do(action, chosen, user.get_name(), run_too=start_run)
