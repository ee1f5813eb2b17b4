"""The page's FastAPI application, as Airflow mounts it."""

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webflow_conversions import __version__
from webflow_conversions.errors import ConversionsError, Unexpected, Unusable
from webflow_conversions.ui import api, pages
from webflow_conversions.ui.access import form_signer, may_view
from webflow_conversions.ui.ledger import NoLedger, TooLong
from webflow_conversions.ui.rendering import render
from webflow_conversions.ui.search import TooManySearches
from webflow_conversions.ui.threads import Busy

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer; one that has its own keeps it. Airflow shows the page in a frame of its own origin."""

MOST_BODY_BYTES = 64 * 1024
RETRY_SECONDS = 5
"""What an answer 503 says of the next try."""

_HEADINGS = {
    401: "You are not logged in",
    403: "You may not do this",
    404: "There is nothing here",
    413: "This is too much",
    422: "This cannot be asked",
    429: "This is too often",
    503: "The ledger does not answer",
}


def create_app() -> FastAPI:
    """The application; every route of it asks first who may see it."""
    app = FastAPI(title="Webflow off-site conversions", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    form_signer()
    app.add_middleware(SmallBodies)
    app.add_middleware(Headers)
    viewers = [Depends(may_view)]
    for router in (pages.router, pages.acting_router):
        app.include_router(router, dependencies=viewers)
    for router in (api.router, api.acting_router):
        app.include_router(router, prefix="/api", dependencies=viewers)
    app.add_exception_handler(AnyHTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(ConversionsError, _on_trouble)
    return app


class Headers:
    """Middleware: the headers that keep a browser from doing what nobody meant."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to the answer."""

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, receive, send_more)


class SmallBodies:
    """Middleware: a body is a form or some words of JSON, and is read before Airflow is asked who sent it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, up to ``MOST_BODY_BYTES`` of its body."""
        left = MOST_BODY_BYTES

        async def receive_little() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, "This is more than the page takes.")
            return message

        await self._app(scope, receive_little, send)


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)  # noqa: S101 - for the type alone
    return _problem(request, error.status_code, str(error.detail))


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for the type alone
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return _problem(request, 422, f"{place}: {first['msg']}.")


def _on_trouble(request: Request, error: Exception) -> Response:
    match error:
        case TooLong():
            answer = _problem(request, 503, str(error), "This takes too long")
        case TooManySearches():
            answer = _problem(request, 429, str(error))
        case Busy():
            answer = _problem(request, 503, str(error), "There is no room at this moment", may_pass=True)
        case Unexpected():
            return _problem(request, 500, str(error))
        case Unusable():
            return _problem(request, 503, str(error), "This cannot be done")
        case NoLedger():
            answer = _problem(request, 503, str(error), "There is no ledger yet", may_pass=True)
        case _:
            answer = _problem(request, 503, str(error), may_pass=True)
    answer.headers["retry-after"] = str(RETRY_SECONDS)
    return answer


def _problem(request: Request, status: int, sentence: str, heading: str | None = None, *, may_pass: bool = False) -> Response:
    """One sentence: as JSON for the API, as a page for people.

    :param may_pass: whether the page is to ask again by itself; never what somebody does, since it may have been done.
    """
    if "text/html" not in request.headers.get("accept", "") or "/api/" in request.url.path:
        return JSONResponse(jsonable_encoder({"detail": sentence}), status)
    heading = heading or _HEADINGS.get(status, "This did not work")
    is_get = request.method == "GET"
    return render(
        request,
        "problem.html",
        status_code=status,
        status=status,
        heading=heading,
        sentence=sentence,
        again=request.url.path + (f"?{request.url.query}" if request.url.query else "") if is_get else None,
        reloads=is_get and may_pass,
    )
