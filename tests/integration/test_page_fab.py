"""The page behind the auth manager of production, apache-airflow-providers-fab: each of its roles on each route."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from tests.night import Night
from tests.page import HTML, SAME, airflow_with_the_page
from tests.rows import put

MAY_SEE, MAY_ACT = {"Viewer", "User", "Op", "Admin"}, {"User", "Op", "Admin"}
ROLES = ("Public", "Viewer", "User", "Op", "Admin")
ACTS = re.compile(r"/(do|actions|runs|download|api/actions)")
USER_ID = "72349876"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, dict[str, str]]]:
    """Airflow's API server with a user of each role, and their tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager")
        patch.setenv("AIRFLOW__FAB__CONFIG_FILE", str(tmp_path_factory.mktemp("fab") / "webserver_config.py"))
        app = airflow_with_the_page(patch)
        from airflow.api_fastapi.app import get_auth_manager, purge_cached_app

        manager: Any = get_auth_manager()
        found = {}
        with manager.flask_app.app_context():
            manager.init_flask_resources()
            for role in ROLES:
                security = manager.security_manager
                user = security.add_user(role.lower(), role, role, f"{role}@example.com", security.find_role(role), password="x")
                found[role] = manager.generate_jwt(user)
        yield app, found
        purge_cached_app()


@pytest.fixture
def browser_of(tokens: tuple[FastAPI, dict[str, str]], page_night: Night) -> Callable[[str], TestClient]:
    def made(role: str) -> TestClient:
        app, found = tokens
        return TestClient(app, base_url="http://airflow.test", follow_redirects=False, cookies={"_token": found[role]})

    return made


def routes() -> list[tuple[str, str]]:
    from webflow_conversions.ui.app import create_app

    found = []
    for route in create_app().routes:
        assert isinstance(route, APIRoute)
        path = route.path.replace("{action}", "send_again").replace("{name}", "page.css")
        found += [(method, re.sub(r"\{\w+\}", "1", path)) for method in route.methods]
    return sorted(found)


@pytest.mark.parametrize("role", ROLES)
def test_each_route_lets_in_who_may_and_nobody_else(browser_of: Callable[[str], TestClient], page_night: Night, role: str):
    put(page_night, "rejected", reason="refused_422", settled_at=datetime.now(UTC), user_id=USER_ID)
    browser = browser_of(role)

    for method, path in routes():
        allowed = MAY_ACT if ACTS.match(path) else MAY_SEE
        answer = browser.request(method, f"/webflow{path}")
        refused_for_the_right = answer.status_code == 403 and "another site" not in answer.text and "too old" not in answer.text
        assert refused_for_the_right is (role not in allowed), (method, path, answer.status_code, answer.text[:200])
    assert page_night.row("c1").state == "rejected"


@pytest.mark.parametrize("role", sorted(MAY_SEE))
def test_only_who_may_trigger_the_dag_sees_user_ids_and_acts(
    browser_of: Callable[[str], TestClient], page_night: Night, role: str
):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=datetime.now(UTC), user_id=USER_ID)
    browser = browser_of(role)

    page = browser.get(f"/webflow/conversions/{identifier}", headers=HTML).text
    document = browser.get(f"/webflow/api/conversions/{identifier}").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    done = browser.post(f"/webflow/do/send_again?id={identifier}", data={"csrf_token": token[1]}, headers=SAME)

    assert (USER_ID in page, USER_ID in document) == (role in MAY_ACT, role in MAY_ACT)
    assert done.status_code == (303 if role in MAY_ACT else 403)
    assert page_night.row("c1").state == ("ready" if role in MAY_ACT else "rejected")
