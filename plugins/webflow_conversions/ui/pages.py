"""The pages: the night, the conversions, one of them, and what people do."""

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import AfterValidator

from webflow_conversions.ledger.actions import MOST_CONVERSIONS, Action, Actions, Effect, Effects
from webflow_conversions.ledger.search import LONGEST_TEXT, Conversions, Only
from webflow_conversions.rules.states import EXPLANATIONS
from webflow_conversions.ui import desk, static
from webflow_conversions.ui.access import CanAct, CsrfToken, from_our_form, may_act
from webflow_conversions.ui.conversion import payload, shown, way
from webflow_conversions.ui.dag import customer_id, start_run
from webflow_conversions.ui.download import as_csv
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.query import LARGEST_NUMBER, After, Chosen, Number, holdable
from webflow_conversions.ui.rendering import address, render

ROWS = 50

router = APIRouter(include_in_schema=False)
acting_router = APIRouter(include_in_schema=False, dependencies=[Depends(may_act)])


@router.get("/")
def overview(request: Request, can_act: CanAct, csrf_token: CsrfToken, run: Number = None) -> HTMLResponse:
    """Where the night stands."""
    return render(request, "overview.html", night=desk.recent.get(run), can_act=can_act, csrf_token=csrf_token)


@router.get("/conversions")
def conversions(request: Request, chosen: Chosen, after: After, can_act: CanAct, csrf_token: CsrfToken) -> HTMLResponse:
    """A list of conversions."""
    with reading() as session:
        page = Conversions(session).page(chosen, ROWS, after)
        sources = Conversions(session).sources()
    return render(
        request,
        "conversions.html",
        now=desk.now(),
        chosen=chosen,
        rows=[shown(conversion, in_clear=can_act) for conversion in page.conversions],
        next=page.next,
        is_first=after is None,
        sources=sources,
        reasons=list(EXPLANATIONS),
        onlys=list(Only),
        can_act=can_act,
        csrf_token=csrf_token,
    )


@router.post("/search", dependencies=[Depends(from_our_form)])
def search(
    request: Request,
    csrf_token: CsrfToken,
    text: Annotated[str, Form(max_length=LONGEST_TEXT), AfterValidator(holdable)] = "",
) -> Response:
    """Find a conversion; a POST, so that no log of addresses keeps a user ID."""
    text = text.strip()
    if not text:
        return RedirectResponse(address(request, "/conversions"), 303)
    found = desk.search(text)
    if found.one is not None:
        return RedirectResponse(address(request, f"/conversions/{found.one.id}"), 303)
    if found.chosen is not None:
        return RedirectResponse(address(request, "/conversions", found.chosen.query()), 303)
    return render(request, "nothing.html", text=text, csrf_token=csrf_token, status_code=404)


@router.get("/conversions/{number}")
def conversion(
    request: Request, number: Annotated[int, Path(ge=1, le=LARGEST_NUMBER)], can_act: CanAct, csrf_token: CsrfToken
) -> HTMLResponse:
    """One conversion: its way, its state in words, its payload."""
    with reading() as session:
        ledger = Conversions(session)
        found = ledger.one(number)
        if found is None:
            raise HTTPException(404, "The ledger has no such conversion; what finished long ago is removed from it.")
        history = ledger.history(found)
    now, one = desk.now(), shown(found, in_clear=can_act)
    return render(
        request,
        "conversion.html",
        now=now,
        one=one,
        way=way(one, history, now),
        payload=payload(found, customer_id(found.destination), in_clear=can_act),
        can_act=can_act,
        csrf_token=csrf_token,
    )


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    """A style sheet, a script, an icon."""
    found = static.contents().get(name)
    if found is None:
        raise HTTPException(404, "There is no such file.")
    return Response(found[0], media_type=found[1], headers={"Cache-Control": "private, max-age=86400, immutable"})


@acting_router.get("/do/{action}")
def ask(request: Request, action: Action, chosen: Chosen, csrf_token: CsrfToken) -> HTMLResponse:
    """What an action would come to, and the button that does it."""
    with reading() as session:
        ids = Conversions(session).ids(chosen, MOST_CONVERSIONS + 1)
        effects = Actions(session).preview(action, ids[:MOST_CONVERSIONS], desk.now())
    return render(
        request,
        "ask.html",
        action=action,
        chosen=chosen,
        effects=_in_words(action, effects, done=False),
        is_possible=bool(effects.get(Effect.CHANGED) or effects.get(Effect.HELD)),
        is_cut=len(ids) > MOST_CONVERSIONS,
        most=MOST_CONVERSIONS,
        csrf_token=csrf_token,
    )


@acting_router.post("/do/{action}", dependencies=[Depends(from_our_form)])
def do(
    request: Request,
    action: Action,
    chosen: Chosen,
    user: GetUserDep,
    csrf_token: CsrfToken,
    run_too: Annotated[bool, Form()] = False,
) -> Response:
    """Do it."""
    done = desk.do(action, chosen, user.get_name(), run_too=run_too)
    if done.complaint is None:
        return RedirectResponse(address(request, f"/actions/{done.action.id}"), 303)
    return _action(request, done, csrf_token)


@acting_router.post("/download", dependencies=[Depends(from_our_form)])
def download(chosen: Chosen, user: GetUserDep) -> StreamingResponse:
    """What the filter shows, as CSV."""
    pages = desk.download(chosen, user.get_name(), in_clear=True)
    name = f"conversions-{desk.now():%Y%m%d-%H%M%S}.csv"
    return StreamingResponse(
        as_csv(pages), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@acting_router.post("/runs", dependencies=[Depends(from_our_form)])
def run_now(request: Request, user: GetUserDep) -> Response:
    """Start a run over the last 2 days."""
    start_run(user.get_name())
    desk.recent.forget()
    return RedirectResponse(address(request, "/"), 303)


@acting_router.get("/actions")
def actions(request: Request, csrf_token: CsrfToken, before: Number = None) -> HTMLResponse:
    """Action log."""
    with reading() as session:
        found = Actions(session).last(ROWS + 1, before)
    more = found[ROWS - 1].id if len(found) > ROWS else None
    return render(request, "action_log.html", actions=found[:ROWS], more=more, csrf_token=csrf_token)


@acting_router.get("/actions/{number}")
def action_record(request: Request, number: Annotated[int, Path(ge=1, le=LARGEST_NUMBER)], csrf_token: CsrfToken) -> HTMLResponse:
    """What came of an action."""
    with reading() as session:
        found = Actions(session).one(number)
    if found is None:
        raise HTTPException(404, "There is no such action.")
    return _action(request, desk.Done(action=found), csrf_token)


def _action(request: Request, done: desk.Done, csrf_token: str) -> HTMLResponse:
    return render(
        request,
        "action.html",
        record=done.action,
        complaint=done.complaint,
        effects=_in_words(done.action.action, done.action.outcome, done=True),
        csrf_token=csrf_token,
    )


_CHANGED = {
    (Action.SEND_AGAIN, False): "will be ready to go out again",
    (Action.SEND_AGAIN, True): "ready to go out again",
    (Action.WRITE_OFF, False): "will be written off",
    (Action.WRITE_OFF, True): "written off",
}
_EFFECTS = {
    Effect.HELD: "held: the next run looks again for their user",
    Effect.WAITS: "wait already, and go out by themselves",
    Effect.TOO_OLD: "older than 2 days: Webflow would ignore them",
    Effect.UNFIT: "cannot go out as they are: their source row or the configuration has to change; the next run judges them anew",
    Effect.AWAITED: "out at this moment: a push still waits for their answer",
    Effect.ACCEPTED: "accepted, and never sent again",
    Effect.NOT_IN_DOUBT: "not in doubt, so there is nothing to write off",
    Effect.BUSY: "being worked on at this moment: try again in a minute",
}


def _in_words(action: str, effects: Effects, *, done: bool) -> list[tuple[int, str, bool]]:
    """How many, what becomes of them, and whether it is what was asked for."""
    return [
        (
            effects[effect],
            _CHANGED[Action(action), done] if effect is Effect.CHANGED else _EFFECTS[effect],
            effect is Effect.CHANGED,
        )
        for effect in Effect
        if effects.get(effect)
    ]
