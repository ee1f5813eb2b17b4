"""The JSON API: what the pages show, for dashboards and alerts."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Body, Depends, HTTPException, Query, Request
from fastapi.openapi.utils import get_openapi
from pydantic import AfterValidator

from webflow_conversions import __version__
from webflow_conversions.ledger.actions import Action, ActionRecord, Actions
from webflow_conversions.ledger.selection import LONGEST_TEXT, Filter
from webflow_conversions.rules.states import EXPLANATIONS
from webflow_conversions.ui.access import CanAct, from_our_script, may_act
from webflow_conversions.ui.actions import ActionResult, perform
from webflow_conversions.ui.cache import overview_of
from webflow_conversions.ui.conversion import ConversionDetail, conversion_detail
from webflow_conversions.ui.dry_run import DryRunResult, dry_run_result
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.listing import ConversionsPage, ListSummary, conversions_page, list_summary
from webflow_conversions.ui.overview import Overview
from webflow_conversions.ui.query import After, ListOrder, Number, PathNumber, Selection, storable
from webflow_conversions.ui.search import search as search_ledger
from webflow_conversions.ui.threads import OwnThreadRoute

MOST_ROWS = 1_000

router = APIRouter(route_class=OwnThreadRoute)
acting_router = APIRouter(route_class=OwnThreadRoute, dependencies=[Depends(may_act)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonExplanation:
    """A reason, the state that it belongs to, what it means, and what to do about it."""

    reason: str
    state: str
    meaning: str
    remedy: str


@router.get("/openapi.json", include_in_schema=False)
async def description(request: Request) -> dict[str, Any]:
    """The description of this API."""
    return get_openapi(
        title="Webflow off-site conversions",
        version=__version__,
        description=__doc__,
        routes=[route for route in request.app.routes if getattr(route, "path", "").startswith("/api/")],
        servers=[{"url": str(request.scope.get("root_path", "")) or "/"}],
    )


@router.get("/overview", summary="The night: status, findings, sources, funnel, reasons, 14 days, last runs")
def overview(found: Annotated[Overview, Depends(overview_of)]) -> Overview:
    """Money is text with its exact decimals. ``run`` is the ledger's number of the run to look at."""
    return found


@router.get("/dry-runs/{number}", summary="The result of a dry run by source: outcomes with examples, verdicts, first payloads")
def dry_run(number: PathNumber) -> DryRunResult:
    """``number`` is the ledger's number of the run. Results are kept for a day; user IDs are shortened for everybody."""
    found = dry_run_result(number)
    if found is None:
        raise HTTPException(404, "The ledger has no such dry run.")
    return found


@router.get("/reasons", summary="Every reason with its sentence and what to do")
async def reasons() -> list[ReasonExplanation]:
    """Refusals by the API come as ``refused_<status>`` besides."""
    return [
        ReasonExplanation(reason=reason, state=explanation.state, meaning=explanation.meaning, remedy=explanation.remedy)
        for reason, explanation in EXPLANATIONS.items()
    ]


@router.get("/conversions", summary="Conversions by state, reason, source, run; or by what is known of one")
def conversions(
    selection: Selection, after: After, order: ListOrder, can_act: CanAct, rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100
) -> ConversionsPage:
    """User IDs and identity keys are shortened for those who may not trigger the Dag.

    ``sort`` is ``happened``, ``value``, ``state`` or ``settled``, with ``-`` before it for the other direction, for lists of at
    most 100,000.
    """
    return conversions_page(selection, rows, after, order, with_user_ids=can_act)


@router.get("/summary", summary="How many conversions, worth how much, from when to when")
def summary(selection: Selection) -> ListSummary:
    """Of what the query parameters select, as for ``conversions``; up to 100,000 are counted."""
    return list_summary(selection)


@router.get(
    "/conversions/{number}", summary="A conversion with its timeline, its payload and the actions that would do something"
)
def conversion(number: PathNumber, can_act: CanAct) -> ConversionDetail:
    """``number`` is the ledger's ``id`` of the conversion."""
    found = conversion_detail(number, with_user_ids=can_act)
    if found is None:
        raise HTTPException(404, "The ledger has no such conversion.")
    return found


@router.post(
    "/search",
    summary="Conversions by an ID of theirs, of their action or user, their identity key, or the beginning of a conversion ID",
    dependencies=[Depends(from_our_script)],
)
def search(
    text: Annotated[str, Body(embed=True, min_length=1, max_length=LONGEST_TEXT), AfterValidator(storable)],
    user: GetUserDep,
    can_act: CanAct,
) -> ConversionsPage:
    """A POST, so that no log of addresses keeps a user ID. The first 100."""
    found = search_ledger(text.strip(), str(user.get_id()), with_user_ids=can_act)
    selection = Filter(id=found.one.id) if found.one is not None else found.selection
    if selection is None:
        return ConversionsPage(conversions=[], next=None, currency=None)
    page = conversions_page(selection, 100, with_user_ids=can_act)
    return replace(page, next=None)


@acting_router.get("/actions", summary="Action log, the newest first")
def actions(rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100, before: Number = None) -> list[ActionRecord]:
    """``before`` is the number of the last action of the page before."""
    with reading() as session:
        return Actions(session).last(rows, before)


@acting_router.post(
    "/actions",
    summary="Send conversions again, take back what waits, or write off what is in doubt",
    dependencies=[Depends(from_our_script)],
)
def do_action(
    action: Annotated[Action, Body(embed=True)],
    selection: Selection,
    user: GetUserDep,
    start_run: Annotated[bool, Body(embed=True)] = False,
) -> ActionResult:
    """On what the query parameters select, at most 100,000 at a time; with ``start_run``, a run starts that sends it.

    With a cookie in place of a bearer token, the header ``X-CSRF-Token`` has to hold the token of one of the page's forms.
    """
    return perform(action, selection, user.get_name(), with_run=start_run)
