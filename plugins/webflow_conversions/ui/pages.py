"""The HTML pages: the overview, the result of a dry run, the list of conversions, a conversion, actions and the action log."""

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import AfterValidator

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.ledger.actions import DOWNLOAD, MOST_CONVERSIONS, Action, Actions
from webflow_conversions.ledger.selection import LONGEST_TEXT, Only, Sort
from webflow_conversions.ui import actions as ui_actions
from webflow_conversions.ui import static
from webflow_conversions.ui.access import CanAct, CsrfToken, from_our_form, may_act
from webflow_conversions.ui.cache import overview_of, overviews
from webflow_conversions.ui.conversion import conversion_detail
from webflow_conversions.ui.dag import start_run
from webflow_conversions.ui.download import Download
from webflow_conversions.ui.dry_run import LABELS, dry_run_result
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.listing import (
    COLUMN_WORDS,
    ORDERS,
    USUAL_COLUMNS,
    list_view,
    next_order,
    reason_choices,
    useful_actions,
)
from webflow_conversions.ui.overview import Overview
from webflow_conversions.ui.query import After, Columns, ListOrder, Number, PathNumber, Selection, storable
from webflow_conversions.ui.rehearsal import is_rehearsal
from webflow_conversions.ui.rendering import address, render
from webflow_conversions.ui.search import search as search_ledger
from webflow_conversions.ui.threads import OwnThreadRoute
from webflow_conversions.ui.words import STATE_WORDS

ROWS = 50
"""Rows of a list's page."""

router = APIRouter(route_class=OwnThreadRoute, include_in_schema=False)
acting_router = APIRouter(route_class=OwnThreadRoute, include_in_schema=False, dependencies=[Depends(may_act)])


@router.get("/")
def overview(
    request: Request, can_act: CanAct, csrf_token: CsrfToken, found: Annotated[Overview, Depends(overview_of)]
) -> Response:
    """The overview of the night."""
    if found.run is not None and found.run.dry_run:
        return RedirectResponse(address(request, f"/dry-runs/{found.run.number}"), 303)
    return render(request, "overview.html", overview=found, can_act=can_act, csrf_token=csrf_token)


@router.get("/dry-runs/{number}")
def dry_run(request: Request, number: PathNumber, can_act: CanAct, csrf_token: CsrfToken) -> HTMLResponse:
    """The result of a dry run."""
    found = dry_run_result(number)
    if found is None:
        raise HTTPException(404, "The ledger has no such dry run.")
    return render(request, "dry_run.html", result=found, labels=LABELS, can_act=can_act, csrf_token=csrf_token)


@router.get("/conversions")
def conversions(
    request: Request,
    selection: Selection,
    order: ListOrder,
    columns: Columns,
    after: After,
    can_act: CanAct,
    csrf_token: CsrfToken,
) -> HTMLResponse:
    """A list of conversions."""
    found = list_view(selection, ROWS, after, order, with_user_ids=can_act)
    shown = {"sort": order, "columns": [] if tuple(columns) == USUAL_COLUMNS else columns}
    return render(
        request,
        "conversions.html",
        now=found.now,
        selection=selection,
        query={**selection.query(), **shown},
        order=order,
        columns=columns,
        column_words=COLUMN_WORDS,
        orders=ORDERS,
        next_order=next_order,
        sorts=list(Sort),
        rows=found.page.conversions,
        currency=found.page.currency,
        next=found.page.next,
        is_ordered=found.page.is_ordered,
        is_first=after is None,
        summary=found.summary,
        sources=found.sources,
        state_words=STATE_WORDS,
        reasons=(reasons := reason_choices(selection.reason)),
        known_reasons={reason for choices in reasons.values() for reason in choices},
        narrowings=list(Only),
        actions=useful_actions(selection) if can_act else (),
        can_act=can_act,
        csrf_token=csrf_token,
    )


@router.post("/search", dependencies=[Depends(from_our_form)])
def search(
    request: Request,
    user: GetUserDep,
    can_act: CanAct,
    csrf_token: CsrfToken,
    text: Annotated[str, Form(max_length=LONGEST_TEXT), AfterValidator(storable)] = "",
) -> Response:
    """Find a conversion; a POST, so that no log of addresses keeps a user ID."""
    text = text.strip()
    if not text:
        return RedirectResponse(address(request, "/conversions"), 303)
    found = search_ledger(text, str(user.get_id()), with_user_ids=can_act)
    if found.one is not None:
        return RedirectResponse(address(request, f"/conversions/{found.one.id}"), 303)
    if found.selection is not None:
        return RedirectResponse(address(request, "/conversions", found.selection.query()), 303)
    return render(request, "nothing.html", text=text, csrf_token=csrf_token, status_code=404)


@router.get("/conversions/{number}")
def conversion(request: Request, number: PathNumber, can_act: CanAct, csrf_token: CsrfToken) -> HTMLResponse:
    """One conversion: its state in words, its timeline, its payload."""
    detail = conversion_detail(number, with_user_ids=can_act)
    if detail is None:
        raise HTTPException(404, "The ledger has no such conversion; what finished long ago is removed from it.")
    return render(
        request,
        "conversion.html",
        now=Clock().now(),
        one=detail.conversion,
        timeline=detail.timeline,
        payload=detail.payload,
        actions=detail.actions,
        currency=detail.currency,
        can_act=can_act,
        csrf_token=csrf_token,
    )


@router.get("/static/{name}")
async def static_file(name: str) -> Response:
    """A style sheet, a script, an icon."""
    found = static.contents().get(name)
    if found is None:
        raise HTTPException(404, "There is no such file.")
    return Response(found[0], media_type=found[1], headers={"Cache-Control": "private, max-age=86400, immutable"})


@acting_router.get("/do/{action}")
def preview(request: Request, action: Action, selection: Selection, csrf_token: CsrfToken) -> HTMLResponse:
    """The effects that an action would have, and the button that does it."""
    found = ui_actions.preview(action, selection)
    return render(
        request,
        "preview.html",
        action=action,
        selection=selection,
        effects=ui_actions.effect_lines(action, found.effects, done=False),
        is_useful=found.is_useful,
        is_cut=found.is_cut,
        most=MOST_CONVERSIONS,
        is_rehearsal=is_rehearsal(),
        csrf_token=csrf_token,
    )


@acting_router.post("/do/{action}", dependencies=[Depends(from_our_form)])
def perform(
    request: Request,
    action: Action,
    selection: Selection,
    user: GetUserDep,
    csrf_token: CsrfToken,
    with_run: Annotated[bool, Form()] = False,
) -> Response:
    """Do an action; the answer leads to its record."""
    result = ui_actions.perform(action, selection, user.get_name(), with_run=with_run)
    if result.run_error is None:
        return RedirectResponse(address(request, f"/actions/{result.action.id}"), 303)
    return _result(request, result, csrf_token)


@acting_router.post("/download", dependencies=[Depends(from_our_form)])
async def download(selection: Selection, user: GetUserDep) -> Download:
    """The selection as CSV."""
    return Download(selection, user.get_name())


@acting_router.post("/runs", dependencies=[Depends(from_our_form)])
def run_now(request: Request, user: GetUserDep) -> Response:
    """Start a run over the last 2 days."""
    start_run(user.get_name())
    overviews.clear()
    return RedirectResponse(address(request, "/"), 303)


@acting_router.get("/actions")
def action_log(request: Request, csrf_token: CsrfToken, before: Number = None) -> HTMLResponse:
    """The action log."""
    with reading() as session:
        found = Actions(session).last(ROWS + 1, before)
    more = found[ROWS - 1].id if len(found) > ROWS else None
    return render(request, "action_log.html", actions=found[:ROWS], more=more, csrf_token=csrf_token)


@acting_router.get("/actions/{number}")
def action_record(request: Request, number: PathNumber, csrf_token: CsrfToken) -> HTMLResponse:
    """The record of an action."""
    with reading() as session:
        found = Actions(session).one(number)
    if found is None:
        raise HTTPException(404, "There is no such action.")
    return _result(request, ui_actions.ActionResult(action=found), csrf_token)


def _result(request: Request, result: ui_actions.ActionResult, csrf_token: str) -> HTMLResponse:
    return render(
        request,
        "action.html",
        record=result.action,
        run_error=result.run_error,
        is_rehearsal=is_rehearsal(),
        effects=[]
        if result.action.action == DOWNLOAD
        else ui_actions.effect_lines(result.action.action, result.action.outcome, done=True),
        csrf_token=csrf_token,
    )
