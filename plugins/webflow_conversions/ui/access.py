"""Who may see the page, and who may act on it: those who may see, and who may trigger, the runs of the Dag.

The login is Airflow's: its cookie, or a bearer token. A POST that comes with a cookie has to prove that the person sent
it from one of our own pages: by what the browser says of its origin, and by a token that only our pages have.
"""

import hashlib
from functools import cache
from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.auth.tokens import get_signing_key
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf
from airflow.models import DagModel
from fastapi import Depends, Form, Header, HTTPException, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from webflow_conversions.ui.dag import DAG_ID

MAX_TOKEN_AGE_SECONDS = 12 * 60 * 60

may_view = requires_access_dag("GET", DagAccessEntity.RUN, DAG_ID)
may_act = requires_access_dag("POST", DagAccessEntity.RUN, DAG_ID)


def can_act(user: GetUserDep) -> bool:
    """Whether the viewer may trigger the Dag."""
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST",
            access_entity=DagAccessEntity.RUN,
            details=DagDetails(id=DAG_ID, team_name=DagModel.get_team_name(DAG_ID)),
            user=user,
        )
    )


CanAct = Annotated[bool, Depends(can_act)]


async def csrf_token(user: GetUserDep) -> str:
    """The token for the forms of a page."""
    return str(form_signer().dumps(user.get_id()))


CsrfToken = Annotated[str, Depends(csrf_token)]


async def from_our_form(request: Request, user: GetUserDep, csrf_token: Annotated[str, Form(max_length=1000)] = "") -> None:
    """Refuse a form that another site may have made the browser send."""
    _refuse_foreign(request, user, csrf_token)


async def from_our_script(request: Request, user: GetUserDep, x_csrf_token: Annotated[str, Header(max_length=1000)] = "") -> None:
    """Refuse a call of the API that another site may have made the browser send.

    Without Airflow's cookie the login is a bearer token, which is proof enough: no browser adds one by itself. With the cookie a
    bearer token proves nothing: Airflow passes over an empty one, and its releases differ in which of the two counts.
    """
    if COOKIE_NAME_JWT_TOKEN in request.cookies:
        _refuse_foreign(request, user, x_csrf_token)


def _refuse_foreign(request: Request, user: BaseUser, token: str) -> None:
    if not _is_same_origin(request):
        raise HTTPException(403, "This request came from another site.")
    try:
        owner = form_signer().loads(token, max_age=MAX_TOKEN_AGE_SECONDS)
    except BadSignature:
        owner = None
    if owner != user.get_id():
        raise HTTPException(403, "The form is too old, or not of this login: load the page again.")


def _is_same_origin(request: Request) -> bool:
    """By Sec-Fetch-Site where the browser sends it, else by Origin; the token decides where it sends neither."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return True
    ours = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="") or "").netloc}
    return urlsplit(origin).netloc in ours - {None, ""}


@cache
def form_signer() -> URLSafeTimedSerializer:
    """What signs the tokens of forms; first asked for outside of the event loop, since Airflow's key may come from a command."""
    return URLSafeTimedSerializer(
        get_signing_key("api", "secret_key"), salt="webflow-conversions-page", signer_kwargs={"digest_method": hashlib.sha256}
    )
