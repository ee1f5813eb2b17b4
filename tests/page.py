"""What tests of the page share: who looks at it, and how a browser asks."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount

USERS = {"ada": "admin", "victor": "viewer", "norma": "none"}
"""Users of Airflow by name, with their roles. ``norma`` is logged in, and has no right at all."""
HTML = {"Accept": "text/html"}
SAME = {"Sec-Fetch-Site": "same-origin", **HTML}


def airflow_with_the_page(patch: pytest.MonkeyPatch) -> FastAPI:
    """Airflow's API server in this process, with the page and an empty database; the auth manager is that of the environment."""
    patch.setenv("AIRFLOW__API__SECRET_KEY", "a" * 64)
    patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "b" * 64)
    from airflow.api_fastapi.app import create_app as airflow_app
    from airflow.api_fastapi.app import purge_cached_app
    from airflow.utils.db import initdb

    from webflow_conversions.ui.app import create_app

    initdb()
    purge_cached_app()
    app = airflow_app(apps="core")
    app.router.routes.insert(0, Mount("/webflow", create_app()))
    return app


def login(user: str) -> str:
    """The token that Airflow gives to a user who logs in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    role = USERS[user]
    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role=None if role == "none" else role))


def form_token(browser: TestClient) -> str:
    """The token of the forms, as a page has it."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/webflow/", headers=HTML).text)
    assert found
    return found[1]


def post(browser: TestClient, path: str, **fields: Any) -> Any:
    """Send a form of the page."""
    return browser.post(path, data={"csrf_token": form_token(browser), **fields}, headers=SAME)
