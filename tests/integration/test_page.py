"""The page as Airflow serves it: mounted into Airflow's own API server, behind its own login and rights."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from tests.night import DESTINATION, Night
from tests.page import HTML, SAME, form_token, login, post
from tests.rows import put
from tests.surroundings import CONFIGURATION
from webflow_conversions.delivery.forecast import Forecast, Waiting
from webflow_conversions.ledger.dry_run import DryRuns
from webflow_conversions.ledger.overview import read_overview
from webflow_conversions.pipeline.failures import Failure
from webflow_conversions.pipeline.reconciliation import counts, state_counts, tally_counts
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.verdict import unread
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import HOW_TO_KNOW
from webflow_conversions.rules.states import EXPLANATIONS, Reason, State
from webflow_conversions.rules.window import Window
from webflow_conversions.ui.dag import DAG_ID
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.listing import Column
from webflow_conversions.ui.words import REASON_WORDS, STATE_WORDS

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


# Who may


def routes() -> list[tuple[str, str]]:
    """Every route of the application, as a method and a path that exists."""
    from webflow_conversions.ui.app import create_app

    found = []
    for route in create_app().routes:
        assert isinstance(route, APIRoute), f"{route} is no route that asks who may"
        path = route.path.replace("{action}", "send_again").replace("{name}", "page.css")
        found += [(method, re.sub(r"\{\w+\}", "1", path)) for method in route.methods]
    return sorted(found)


@pytest.mark.parametrize(("method", "path"), routes())
@pytest.mark.parametrize(("user", "status"), [(None, 401), ("norma", 403)])
def test_every_route_asks_who_may(client: Callable[..., TestClient], method: str, path: str, user: str | None, status: int):
    answer = client(user).request(method, f"/webflow{path}")

    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [route for route in routes() if re.match(r"/(do|actions|runs|download|api/actions)", route[1])]
)
def test_who_may_only_look_cannot_act(client: Callable[..., TestClient], page_night: Night, method: str, path: str):
    identifier = put(page_night, "rejected", reason="refused_422")

    assert client("victor").request(method, f"/webflow{path}").status_code == 403
    assert page_night.row("c1").id == identifier
    assert page_night.row("c1").state == "rejected"
    assert page_night.sql("SELECT count(*) FROM webflow.actions") == [(0,)]


def test_there_is_something_to_act_on():
    assert len([path for _, path in routes() if re.match(r"/(do|actions|runs|download|api/actions)", path)]) == 8


def test_the_walk_knows_every_route():
    paths = {path for _, path in routes()}

    assert {
        "/",
        "/conversions",
        "/search",
        "/download",
        "/runs",
        "/actions",
        "/api/overview",
        "/api/openapi.json",
        "/static/page.css",
    } <= paths


@pytest.mark.parametrize("credential", ["cookie", "bearer"])
def test_both_of_airflows_logins_are_taken(client: Callable[..., TestClient], credential: str):
    browser = client("victor" if credential == "cookie" else None)
    headers = {"Authorization": f"Bearer {login('victor')}"} if credential == "bearer" else {}

    assert browser.get("/webflow/api/overview", headers=headers).status_code == 200


def test_a_person_who_is_not_logged_in_reads_a_sentence(client: Callable[..., TestClient]):
    answer = client().get("/webflow/", headers=HTML)

    assert answer.status_code == 401
    assert "You are not logged in" in answer.text


def test_a_token_that_airflow_did_not_make_is_refused(client: Callable[..., TestClient]):
    browser = client()
    browser.cookies.set("_token", "e30.e30.e30")

    assert browser.get("/webflow/").status_code in (401, 403)


# From another site


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_of_another_site_is_refused(client: Callable[..., TestClient], page_night: Night, headers: dict[str, str]):
    put(page_night, "rejected", reason="refused_422")
    browser = client("ada")

    answer = browser.post("/webflow/do/send_again", data={"csrf_token": form_token(browser)}, headers=headers)

    assert answer.status_code == 403
    assert page_night.row("c1").state == "rejected"


@pytest.mark.parametrize("token", ["", "x", "victor's"])
def test_a_form_without_our_token_is_refused(client: Callable[..., TestClient], page_night: Night, token: str):
    put(page_night, "rejected", reason="refused_422")
    if token == "victor's":
        token = form_token(client("victor"))

    answer = client("ada").post("/webflow/do/send_again", data={"csrf_token": token}, headers=SAME)

    assert answer.status_code == 403
    assert page_night.row("c1").state == "rejected"


def test_a_token_grows_old(client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch):
    from webflow_conversions.ui import access

    browser = client("ada")
    token = form_token(browser)
    monkeypatch.setattr(access, "MAX_TOKEN_AGE_SECONDS", -1)

    assert browser.post("/webflow/search", data={"csrf_token": token, "text": "x"}, headers=SAME).status_code == 403


@pytest.mark.parametrize("origin", ["http://airflow.test", None])
def test_browsers_that_say_less_are_known_by_their_token(client: Callable[..., TestClient], origin: str | None):
    browser = client("ada")
    headers = {"Origin": origin} if origin else {}

    answer = browser.post("/webflow/search", data={"csrf_token": form_token(browser), "text": "x"}, headers=headers)

    assert answer.status_code == 404


def test_the_api_wants_the_token_beside_a_cookie_and_none_beside_a_bearer(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "rejected", reason="refused_422")
    browser = client("ada")
    body = {"action": "send_again"}

    assert browser.post("/webflow/api/actions?state=rejected", json=body).status_code == 403
    token = form_token(browser)
    assert browser.post("/webflow/api/actions?state=held", json=body, headers={"X-CSRF-Token": token}).status_code == 200
    bearer = client().post("/webflow/api/actions?state=rejected", json=body, headers={"Authorization": f"Bearer {login('ada')}"})
    assert bearer.json()["action"]["outcome"] == {"changed": 1}
    assert page_night.row("c1").state == "ready"


# What hostile text may do


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"


def test_text_of_the_database_is_escaped(client: Callable[..., TestClient], page_night: Night):
    identifier = put(
        page_night,
        "rejected",
        HOSTILE,
        reason=HOSTILE,
        detail=HOSTILE,
        trouble=HOSTILE,
        source=HOSTILE,
        event_name=HOSTILE,
        user_domain=HOSTILE,
        user_id=HOSTILE,
        run_id=HOSTILE,
        settled_at=NOW,
        action_id=HOSTILE,
    )
    page_night.sql(
        "INSERT INTO webflow.history (conversion, what, detail, person, run_id) VALUES (%s, %s, %s, %s, %s)",
        identifier,
        *[HOSTILE] * 4,
    )
    page_night.sql(
        "INSERT INTO webflow.actions (person, action, filter) VALUES (%s, 'send_again', %s)",
        HOSTILE,
        json.dumps({"reason": HOSTILE}),
    )
    page_night.begin(HOSTILE)
    page_night.sql("UPDATE webflow.runs SET problems = ARRAY[%s], notes = ARRAY[%s]", HOSTILE, HOSTILE)
    browser = client("ada")

    for path in (
        "/",
        "/conversions",
        f"/conversions/{identifier}",
        "/actions",
        "/actions/1",
        f"/do/send_again?{urlencode({'reason': HOSTILE})}",
    ):
        answer = browser.get(f"/webflow{path}", headers=HTML)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "&lt;script&gt;" in answer.text or path == "/"
        assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|49(?=<)", answer.text)


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "'; DROP TABLE webflow.conversions; --",
        "%",
        "%(id)s",
        "\\",
        "💥" * 300,
        " ",
        "\u202e",
        "a\nb",
        "jane@example.com",
    ],
)
def test_what_people_look_for_is_text_and_nothing_more(client: Callable[..., TestClient], page_night: Night, text: str):
    put(page_night, "accepted", "good")

    answer = post(client("ada"), "/webflow/search", text=text)

    assert answer.status_code in (303, 404)
    assert "<script>alert" not in answer.text
    assert page_night.row("good").state == "accepted"


@pytest.mark.parametrize(
    "query",
    [
        {"state": "sold"},
        {"only": "fans"},
        {"run": "0"},
        {"run": str(2**63)},
        {"user_of": "-1"},
        {"after": "x"},
        {"after": f"{2**64}.1"},
        {"after": "-9000000000000000000.1", "state": "rejected"},
        {"after": f"{2**57}.1", "state": "rejected"},
        {"after": f"0.{2**63}", "state": "rejected"},
        {"reason": "x" * 601},
        {"source": "\x00"},
        {"conversion": "a\x00b"},
        {"conversion": "c1", "begins": "c"},
        {"id": "1", "user_of": "1"},
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(client: Callable[..., TestClient], query: dict[str, str]):
    browser = client("ada")

    for path in ("/webflow/conversions", "/webflow/api/conversions", "/webflow/do/send_again"):
        answer = browser.get(f"{path}?{urlencode(query)}")
        assert answer.status_code == 422 or (path.startswith("/webflow/do") and "after" in query)
    assert browser.get(f"/webflow/conversions?{urlencode(query)}", headers=HTML).status_code == 422


@pytest.mark.parametrize("text", ["x" * 601, "a\x00b"])
def test_a_search_of_no_use_is_refused(client: Callable[..., TestClient], text: str):
    assert post(client("ada"), "/webflow/search", text=text).status_code == 422


@pytest.mark.parametrize("place", [-(2**57) + 1, 2**57 - 1])
@pytest.mark.parametrize("state", State)
def test_any_place_that_may_be_asked_for_can_be_looked_up(client: Callable[..., TestClient], state: str, place: int):
    answer = client("victor").get(f"/webflow/api/conversions?state={state}&after={place}.{2**63 - 1}")

    assert answer.status_code == 200


def test_blank_filters_are_no_filters(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "accepted")

    assert "c1" in client("victor").get("/webflow/conversions?state=&reason=&source=&only=&run=", headers=HTML).text


@pytest.mark.parametrize(
    "path", ["/", "/conversions", "/conversions/99", "/nowhere", "/api/overview", "/static/page.css", "/static/../app.py"]
)
def test_no_answer_lets_inline_script_or_foreign_things_in(client: Callable[..., TestClient], path: str):
    answer = client("ada").get(f"/webflow{path}", headers=HTML)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_page_has_inline_script_or_style(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=NOW)
    browser = client("ada")
    post(browser, "/webflow/do/send_again", with_run="")

    for path in ("/", "/conversions", f"/conversions/{identifier}", "/actions", "/actions/1", "/do/write_off", "/nowhere"):
        text = browser.get(f"/webflow{path}", headers=HTML).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text)
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text)


@pytest.mark.parametrize("name", ["app.py", "..%2Fapp.py", "%2e%2e/app.py", "__init__.py", "uPlot.LICENSE.txt", ""])
def test_only_named_files_are_served(client: Callable[..., TestClient], name: str):
    assert client("ada").get(f"/webflow/static/{name}").status_code == 404


# Secrets and people's data


def test_nobody_sees_the_token_and_only_who_may_act_sees_user_ids(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "accepted", settled_at=NOW)
    paths = ["/", "/conversions", f"/conversions/{identifier}", "/api/conversions", f"/api/conversions/{identifier}"]

    def read(user: str) -> str:
        browser = client(user)
        return "".join(browser.get(f"/webflow{path}").text for path in paths)

    assert "72349876" in read("ada")
    assert "72349876" not in read("victor")
    assert "7234…" in read("victor")
    assert "secret-token" not in read("ada")


def test_no_address_holds_a_user_id(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "accepted", "c1")
    put(page_night, "accepted", "c2")
    browser = client("victor")

    answer = post(browser, "/webflow/search", text="72349876")

    assert answer.status_code == 303
    assert "72349876" not in answer.headers["location"]
    listed = browser.get(answer.headers["location"], headers=HTML).text
    assert "c1" in listed
    assert "c2" in listed


def test_who_may_only_look_cannot_find_users_by_guessing_in_the_list(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "accepted")

    shown = client("victor").get(f"/webflow/api/conversions/{identifier}").json()

    assert shown["payload"]["userId"] == "7234…"


# Looking


def test_figures_are_the_ledgers(client: Callable[..., TestClient], page_night: Night):
    night = page_night
    night.person()
    for number in range(3):
        night.sale(f"good-{number}")
    night.sale("stranger", key="nobody", value=Decimal("7.50"))
    run = night.read()

    found = client("victor").get("/webflow/api/overview").json()

    assert found["run"]["number"] == run.id
    assert found["total"]["read"]["rows"] == 4
    assert Decimal(found["total"]["read"]["value"]) == Decimal("37.50")
    assert found["ready"] == {"rows": 3, "value": "30.00"}
    assert found["held"] == {"rows": 1, "value": "7.50"}
    assert [why["reason"] for why in found["reasons"]] == ["unknown_user", "ready"]
    text = client("victor").get("/webflow/", headers=HTML).text
    assert "37.50" in text
    assert str(EXPLANATIONS[Reason.UNKNOWN_USER].meaning).replace("'", "&#39;") in text


def test_the_page_says_what_is_not_live_while_a_large_run_goes_on(
    client: Callable[..., TestClient], page_night: Night, monkeypatch: pytest.MonkeyPatch
):
    from webflow_conversions.ledger import overview

    monkeypatch.setattr(overview, "LARGEST_LIVE_RUN", 2)
    page_night.person()
    for number in range(3):
        page_night.sale(f"good-{number}")
    run = page_night.read()
    page_night.queue(run).begin(60)
    page_night.sql("UPDATE webflow.pushes SET counts = %s", json.dumps({"accepted": 1_234}))
    counted_at = datetime.now(UTC)
    waiting = Waiting(total=Amount(rows=5_678, value=Decimal("1.00")), late=Amount(), expiring=Amount())
    forecast = Forecast(at=counted_at, stands_until=counted_at + timedelta(minutes=2), rows_per_second=1.0, waiting=waiting)
    page_night.sql("UPDATE webflow.runs SET forecast = %s", json.dumps({DESTINATION: forecast.to_json()}))

    text = client("victor").get("/webflow/", headers=HTML).text

    assert "sales: too many conversions to count while the run goes on" in text
    assert 'class="verdict"' not in text
    assert "Its pushes have counted 1,234 accepted ones so far." in text
    assert "Without the 1,234 that were accepted in a run that has not ended" in text
    assert f"counted at {counted_at:%H:%M:%S} UTC" in text
    assert "they add up to all of them" not in text
    assert "All that was read is accepted" not in text


@pytest.fixture
def runs_of_the_dag(airflow: FastAPI) -> Iterator[Callable[..., None]]:
    """Puts a run of the Dag into Airflow's database."""
    from airflow.models import DagModel, DagRun
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    def put_run(run_id: str, **columns: Any) -> None:
        with create_session() as session:
            session.add(DagRun(dag_id=DAG_ID, run_id=run_id, run_after=NOW, start_date=NOW, **columns))

    with create_session() as session:
        session.add(DagBundleModel(name="tests"))
        session.flush()
        session.add(DagModel(dag_id=DAG_ID, bundle_name="tests", is_paused=False, is_stale=False))
    yield put_run
    with create_session() as session:
        for model in (DagRun, DagModel):
            session.query(model).filter(model.dag_id == DAG_ID).delete()
        session.query(DagBundleModel).filter(DagBundleModel.name == "tests").delete()


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        (None, "The run is about to start."),
        ({"date": None, "dry_run": False}, "The run is about to start."),
        ({"date": "2026-11-22", "dry_run": False}, "The run is about to start."),
        ({"date": None, "sources": ["sales"], "dry_run": False}, "The run is about to start."),
        ({"date": None, "dry_run": True}, "No run is due."),
    ],
)
def test_what_a_run_was_asked_for_is_known_before_it_has_begun(
    client: Callable[..., TestClient], runs_of_the_dag: Callable[..., None], conf: Any, says: str
):
    from webflow_conversions.ui.dag import dag_now

    runs_of_the_dag("by_hand", run_type="manual", state="queued", conf=conf)

    (run,) = dag_now().runs
    assert (run.dry_run, run.is_partial) == (bool(conf and conf["dry_run"]), bool(conf and (conf["date"] or conf.get("sources"))))
    assert client("victor").get("/webflow/api/overview").json()["status"]["headline"] == says


def test_the_api_describes_itself(client: Callable[..., TestClient]):
    document = client("victor").get("/webflow/api/openapi.json").json()

    assert set(document["paths"]) == {
        "/api/overview",
        "/api/dry-runs/{number}",
        "/api/reasons",
        "/api/conversions",
        "/api/conversions/{number}",
        "/api/search",
        "/api/summary",
        "/api/actions",
    }
    assert all(operation["summary"] for path in document["paths"].values() for operation in path.values())


def test_every_path_that_the_description_has_can_be_asked(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "accepted")
    browser = client("ada")

    for path in ("overview", "reasons", "conversions", "actions"):
        assert browser.get(f"/webflow/api/{path}").status_code == 200
    found = (
        client().post("/webflow/api/search", json={"text": "c1"}, headers={"Authorization": f"Bearer {login('victor')}"}).json()
    )
    assert [one["conversion_id"] for one in found["conversions"]] == ["c1"]


def test_the_api_gives_pages(client: Callable[..., TestClient], page_night: Night):
    for number in range(5):
        put(page_night, "held", f"c{number}", user_id=None)
    browser = client("victor")

    first = browser.get("/webflow/api/conversions?state=held&rows=3").json()
    second = browser.get(f"/webflow/api/conversions?state=held&rows=3&after={first['next']}").json()

    assert len(first["conversions"]) == 3
    assert len(second["conversions"]) == 2
    assert second["next"] is None


@pytest.mark.parametrize(("text", "place"), [("c1", "/webflow/conversions/{id}"), (f"{DESTINATION}/sales/offline-purchase/c1", "/webflow/conversions/{id}"), (" c1 ", "/webflow/conversions/{id}"), ("c", "/webflow/conversions?begins=c")])  # fmt: skip
def test_a_search_leads_to_what_it_found(client: Callable[..., TestClient], page_night: Night, text: str, place: str):
    identifier = put(page_night, "accepted")

    answer = post(client("victor"), "/webflow/search", text=text)

    assert answer.headers["location"] == place.format(id=identifier)


@pytest.mark.parametrize(
    "text",
    [
        "#1001",
        "No. 1001",
        " '1001' ",
        "https://shop.example/admin/orders/1001",
        "https://airflow.example/webflow/conversions/{id}",
        '"https://airflow.example/plugin/conversions/webflow/conversions/{id}?x=1"',
    ],
)
def test_an_order_number_as_people_type_or_paste_it_leads_to_the_conversion(
    client: Callable[..., TestClient], page_night: Night, text: str
):
    identifier = put(page_night, "accepted", "0001001")

    answer = post(client("victor"), "/webflow/search", text=text.format(id=identifier))

    assert answer.headers["location"] == f"/webflow/conversions/{identifier}"


def test_what_is_written_to_the_letter_comes_before_other_forms_of_it(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "accepted", "#1001", action_id=f"{DESTINATION}/sales/offline-purchase/%231001")
    exact = put(page_night, "accepted", "1001")
    put(page_night, "accepted", "10012")
    browser = client("victor")

    assert post(browser, "/webflow/search", text="1001").headers["location"] == f"/webflow/conversions/{exact}"
    both = post(browser, "/webflow/search", text="No 1001").headers["location"]
    assert both == "/webflow/conversions?written=No+1001"
    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)<', browser.get(both, headers=HTML).text) == ["1001", "#1001"]
    assert post(browser, "/webflow/search", text="no. 100").headers["location"] == "/webflow/conversions?begins=100"


# Whom a conversion waits for


def waits(night: Night) -> int:
    """A held conversion of a customer, and an accepted one of the same."""
    put(night, "accepted", "o1", identity_key="contact-4711")
    return put(night, "held", "o2", reason="unknown_user", user_id=None, user_domain=None, identity_key="contact-4711")


def test_a_customer_number_finds_the_conversions_and_held_ones_say_whom_they_wait_for(
    client: Callable[..., TestClient], page_night: Night
):
    number = waits(page_night)
    browser = client("ada")

    place = post(browser, "/webflow/search", text="contact-4711").headers["location"]
    listed = browser.get(place, headers=HTML).text
    shown = browser.get(f"/webflow/conversions/{number}", headers=HTML).text
    in_json = browser.get("/webflow/api/conversions?state=held").json()["conversions"]
    in_csv = post(browser, "/webflow/download?state=held").text

    assert place == f"/webflow/conversions?key_of={number}"
    assert ">o1</a>" in listed
    assert ">o2</a>" in listed
    assert "It waits for contact-4711" in listed
    assert "It waits for <strong>contact-4711</strong>" in shown
    assert [one["identity_key"] for one in in_json] == ["contact-4711"]
    assert ",contact-4711," in in_csv


def test_who_may_only_look_finds_a_customer_by_the_whole_number_alone_and_never_reads_it(
    client: Callable[..., TestClient], page_night: Night
):
    number = waits(page_night)
    put(page_night, "accepted", "o3", user_id="user-4713", identity_key="contact-4712")
    viewer = client("victor")

    for part in (
        "contact-471",
        "contact",
        "CONTACT-4711",
        "contact-4711 x",
        "user-471",
        "USER-4713",
        "ontact-4711",
        "%",
        "contact-%",
    ):
        assert post(viewer, "/webflow/search", text=part).status_code == 404, part
    found = post(viewer, "/webflow/search", text="'contact-4711'")
    assert found.headers["location"] == f"/webflow/conversions?key_of={number}"
    pages = [
        viewer.get(f"/webflow{path}", headers=HTML).text
        for path in (
            "/conversions",
            "/conversions?columns=customer&columns=user",
            f"/conversions?key_of={number}",
            f"/conversions/{number}",
            "/api/conversions",
            f"/api/conversions/{number}",
        )
    ]
    assert all("4711" not in page for page in pages)
    assert "It waits for <strong>cont…</strong>" in pages[3]
    assert viewer.get("/webflow/api/conversions?state=held").json()["conversions"][0]["identity_key"] == "cont…"


def test_who_may_see_customers_finds_them_in_other_writing_too(client: Callable[..., TestClient], page_night: Night):
    number = waits(page_night)

    assert (
        post(client("ada"), "/webflow/search", text="CONTACT-4711").headers["location"] == f"/webflow/conversions?key_of={number}"
    )


def test_a_customer_number_of_which_only_a_hash_is_left_is_not_shown(client: Callable[..., TestClient], page_night: Night):
    number = put(page_night, "accepted", "o1", identity_key="sha256:0123456789abcdef")

    assert "sha256" not in client("ada").get(f"/webflow/conversions/{number}", headers=HTML).text


# The list


def test_a_list_says_how_many_it_has_what_they_are_worth_and_of_when_they_are(
    client: Callable[..., TestClient], page_night: Night
):
    page_night.begin(currency="EUR")
    for hours in (1, 2, 3):
        put(page_night, "held", f"c{hours}", action_timestamp_ms=int((NOW - hours * HOUR).timestamp() * 1000), user_id=None)
    put(page_night, "accepted", "other")
    browser = client("victor")

    text = browser.get("/webflow/conversions?state=held", headers=HTML).text
    summary = browser.get("/webflow/api/summary?state=held").json()
    said = " ".join(re.sub(r"<[^>]+>", "", text[text.index("data-summary>") + 13 :].split("</p>")[0]).split())

    assert re.fullmatch(r"3 conversions, worth EUR 449\.97, from \d+ \w+ \d\d:\d\d UTC to \d+ \w+ \d\d:\d\d UTC", said)
    assert (summary["conversions"], summary["value"], summary["is_cut"]) == (3, "449.97", False)
    assert datetime.fromisoformat(summary["last_at"]) - datetime.fromisoformat(summary["first_at"]) == 2 * HOUR


def test_a_list_is_put_in_order_and_keeps_its_filter_its_columns_and_its_order_in_every_link(
    client: Callable[..., TestClient], page_night: Night, monkeypatch: pytest.MonkeyPatch
):
    from webflow_conversions.ui import pages

    monkeypatch.setattr(pages, "ROWS", 2)
    for value in (5, 20, 10):
        put(page_night, "rejected", f"c{value}", reason="refused_422", value=value, settled_at=NOW)
    browser = client("ada")
    asked = "state=rejected&happened_from=2020-01-01&value_from=1&columns=value&columns=customer"

    text = browser.get(f"/webflow/conversions?{asked}&sort=-value", headers=HTML).text
    links = [unescape(link) for link in re.findall(r'href="(/webflow/conversions\?[^"]*)"', text)]
    further = next(link for link in links if "after=" in link)

    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)<', text) == ["c20", "c10"]
    assert re.findall(r'<th scope="row"><a [^>]*>([^<]*)<', browser.get(further, headers=HTML).text) == ["c5"]
    assert re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?(\w+)', text) == ["Conversion", "Value", "Customer"]
    assert '<th scope="col" class="rows" aria-sort="descending">' in text
    assert len(links) == 3
    assert all(all(part in link for part in asked.split("&")) for link in links)
    assert any("sort=value" in link for link in links)
    copied = re.search(r'<a [^>]*href="([^"]*)" data-copy', text)
    assert copied
    assert unescape(copied[1]) == f"/webflow/conversions?{asked}&sort=-value".replace(
        "&columns=value&columns=customer&sort=-value", "&sort=-value&columns=value&columns=customer"
    )


def test_filters_are_words_with_the_codes_behind_them(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "rejected", "c1", reason="refused_418", settled_at=NOW)
    text = unescape(client("victor").get("/webflow/conversions?reason=refused_418", headers=HTML).text)

    for code, words in [*STATE_WORDS.items(), *REASON_WORDS.items(), ("refused", "Webflow refused it")]:
        assert f'<option value="{code}" title="{code}">{words}</option>' in text
    assert '<option value="refused_418" title="refused_418" selected>Webflow refused it (HTTP 418)</option>' in text
    assert ">c1</a>" in text
    assert not re.search(r">[^<]*\w_\w[^<]*</(?:option|td|th|p|span)>", text)
    assert ">c1</a>" in client("victor").get("/webflow/conversions?reason=refused", headers=HTML).text


def test_every_state_and_reason_has_words():
    assert set(STATE_WORDS) == set(State)
    assert set(REASON_WORDS) == set(Reason)
    assert len(set(REASON_WORDS.values())) == len(REASON_WORDS)


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "user_id"},
        {"sort": "--value"},
        {"sort": "value;"},
        {"columns": "user_id"},
        {"happened_from": "yesterday"},
        {"happened_from": "2026-02-30"},
        {"value_from": "NaN"},
        {"value_to": "Infinity"},
        {"value_from": "-1"},
        {"value_from": "1e400"},
        {"key_of": "1", "user_of": "1"},
        {"written": "a", "begins": "a"},
        {"written": "x" * 601},
        {"key_of": str(2**63)},
    ],
)
def test_an_order_a_column_a_day_or_a_value_that_is_none_is_refused(client: Callable[..., TestClient], query: dict[str, str]):
    assert client("ada").get(f"/webflow/conversions?{urlencode(query)}", headers=HTML).status_code == 422


@pytest.mark.parametrize("column", Column)
def test_every_column_can_be_shown(client: Callable[..., TestClient], page_night: Night, column: str):
    put(page_night, "accepted", "c1", settled_at=NOW, attribution="will_count")
    put(
        page_night,
        "rejected",
        "c2",
        reason="invalid_value",
        value=None,
        action_timestamp_ms=None,
        user_id=None,
        event_name=None,
        detail="x",
    )

    text = client("victor").get(f"/webflow/conversions?columns={column}", headers=HTML).text

    assert f'<input type="checkbox" name="columns" value="{column}" checked>' in text
    assert len(re.findall(r"<td", text)) == 2
    assert text.count(" checked>") == 1


def test_a_place_in_an_order_that_is_far_behind_the_end_is_an_empty_page(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "accepted")

    for place in ("99999999.1", "-5.1", f"{2**56}.1", f"-{2**57 - 1}.-{2**63 - 1}"):
        for sort in ("value", "-state"):
            assert client("victor").get(f"/webflow/api/conversions?sort={sort}&after={place}").status_code == 200


def test_a_refusal_speaks_in_words_and_has_its_codes_behind_a_fold(client: Callable[..., TestClient], page_night: Night):
    number = put(
        page_night,
        "rejected",
        reason="refused_422",
        http_status=422,
        trouble="value is negative",
        detail="-3",
        attempts=1,
        settled_at=NOW,
    )
    text = unescape(client("ada").get(f"/webflow/conversions/{number}", headers=HTML).text)
    said, fold = text.split('<details class="engineer">')[0], text.split('<details class="engineer">')[1].split("</details>")[0]

    assert "Webflow refused it (HTTP 422). It goes out by itself only if this is corrected in the next" in said
    for code in ("refused_422", "-3", "HTTP 422: value is negative"):
        assert code in fold
        assert f">{code}<" not in said


def test_who_was_hashed_is_found_by_the_address(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "accepted", user_id=hashlib.sha256(b"jane@example.com").hexdigest())

    answer = post(client("victor"), "/webflow/search", text="Jane@Example.com")

    assert answer.status_code == 303


def test_a_conversion_whose_id_was_an_address_is_found_by_the_address(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "accepted", conversion_id=hashlib.sha256(b"jane@example.com").hexdigest())

    answer = post(client("victor"), "/webflow/search", text="Jane@Example.com")

    assert answer.headers["location"].endswith(f"/conversions/{identifier}")


def test_a_conversion_tells_its_way(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "accepted", attempts=1, http_status=200, sent_at=NOW, settled_at=NOW)

    text = client("ada").get(f"/webflow/conversions/{identifier}", headers=HTML).text

    assert "Accepted (HTTP 200)." in text
    assert "&#34;actionTimestamp&#34;" in text
    assert "&#34;value&#34;: 149.99" in text
    assert "&#34;customerId&#34;: &#34;123456789&#34;" in text


@pytest.mark.parametrize(
    ("state", "columns", "expected"),
    [
        ("held", {"reason": "unknown_user", "user_id": None}, {"send_again", "take_back"}),
        ("held", {"reason": "unknown_user", "user_id": None, "action_timestamp_ms": 1_000}, set()),
        ("rejected", {"reason": "refused_422"}, {"send_again"}),
        ("rejected", {"reason": "refused_422", "action_timestamp_ms": 1_000}, set()),
        ("rejected", {"reason": "invalid_value"}, set()),
        ("sending", {"reason": "in_doubt"}, {"send_again", "write_off"}),
        ("sending", {"reason": "in_doubt", "action_timestamp_ms": 1_000}, {"write_off"}),
        ("ready", {"attempts": 1, "attempts_in_doubt": 1}, {"write_off"}),
        ("ready", {}, {"take_back"}),
        ("ready", {"action_timestamp_ms": 1_000}, set()),
        ("withdrawn", {"reason": "taken_back", "settled_at": NOW}, {"send_again"}),
        ("withdrawn", {"reason": "no_longer_in_source", "settled_at": NOW}, {"send_again"}),
        ("withdrawn", {"reason": "taken_back", "settled_at": NOW, "action_timestamp_ms": 1_000}, set()),
        ("withdrawn", {"reason": "forgotten", "settled_at": NOW}, set()),
        ("accepted", {}, set()),
    ],
)
def test_only_actions_that_would_do_something_are_offered(
    client: Callable[..., TestClient], page_night: Night, state: str, columns: dict[str, Any], expected: set[str]
):
    identifier = put(page_night, state, **columns)

    text = client("ada").get(f"/webflow/conversions/{identifier}", headers=HTML).text
    offered = client("ada").get(f"/webflow/api/conversions/{identifier}").json()["actions"]

    assert (
        {action for action in ("send_again", "take_back", "write_off") if f"/do/{action}?id=" in text} == expected == set(offered)
    )


def test_page_and_api_say_the_same_of_the_night(client: Callable[..., TestClient], page_night: Night, runs_of_the_dag: Any):
    put(page_night, "ready", trouble="HTTP 503")
    run = page_night.begin("failed", currency="EUR")
    page_night.extract(run)
    page_night.runs.end(run, unread(["sales"]), {})
    runs_of_the_dag("failed", run_type="scheduled", state="failed")

    status = client("ada").get("/webflow/api/overview").json()["status"]
    text = unescape(client("ada").get("/webflow/", headers=HTML).text)

    assert [finding["cause"] for finding in status["findings"]] == ["not_read", "not_sent"]
    assert status["findings"][1]["query"] == {"state": "ready", "source": "sales"}
    assert "/webflow/conversions?state=ready&source=sales" in text
    for said in (status["cause"], status["headline"], *status["details"], *(one["remedy"] for one in status["findings"])):
        assert said in text
    assert "EUR 149.99" in text
    assert "no usual volume yet" in text


# Credited


def judged(night: Night, name: str, attribution: str | None, reason: str | None = None, **columns: Any) -> int:
    """An accepted conversion of the last run, with its verdict."""
    number = put(night, "accepted", name, attempts=1, http_status=200, sent_at=NOW, settled_at=NOW, value=Decimal("10.00"),
                 attribution=attribution, attribution_reason=reason, attribution_judged_at=NOW, **columns)  # fmt: skip
    night.sql(
        "INSERT INTO webflow.extracted (extraction, conversion, value, alike) SELECT max(id), %s, 10, 1 FROM webflow.extractions",
        number,
    )
    return number


def read_nothing(night: Night) -> None:
    night.person()
    night.sale("waits")
    night.read()


def test_the_funnel_ends_in_credited(client: Callable[..., TestClient], page_night: Night):
    read_nothing(page_night)
    page_night.sql("UPDATE webflow.runs SET reading = 'strict'")
    judged(page_night, "sure", "will_count", visit='{"readings": ["strict", "wide", "lenient"]}')
    judged(page_night, "idle", "may_count", "session_idle", visit='{"readings": ["wide", "lenient"]}')
    judged(page_night, "never", "will_not_count", "no_view")
    judged(page_night, "new", None)
    browser = client("victor")

    found = browser.get("/webflow/api/overview").json()["credit"]
    text = unescape(browser.get("/webflow/", headers=HTML).text)

    assert {verdict: amount["rows"] for verdict, amount in found["total"]["verdicts"].items()} == {
        "will_count": 1,
        "may_count": 1,
        "will_not_count": 1,
        "unknown": 0,
        "not_judged": 1,
    }
    assert found["sources"][0]["accepted"] == {"rows": 4, "value": "40.00"}
    assert [(one["attribution"], one["reason"]) for one in found["reasons"]] == [
        ("will_not_count", "no_view"),
        ("may_count", "session_idle"),
    ]
    assert {reading: amount["rows"] for reading, amount in found["credited"].items()} == {"strict": 1, "wide": 2, "lenient": 2}
    assert "Webflow credits 1 conversion (worth 10.00) under the strict reading (25 %)" in text
    assert f"<strong>{found['headline']}</strong>" in text
    for one in found["reasons"]:
        assert one["meaning"] in text
        assert one["remedy"] in text
    assert len(re.findall(r'<li class="verdict" data-verdict="(\w+)"', text)) == 5
    link = re.search(r'href="(/webflow/conversions\?[^"]*attribution=will_not_count[^"]*)"', text)
    assert link
    listed = browser.get(link[1].replace("/conversions", "/api/conversions")).json()["conversions"]
    assert [one["conversion_id"] for one in listed] == ["never"]


def test_where_nothing_is_judged_the_page_says_what_it_would_take(client: Callable[..., TestClient], page_night: Night):
    read_nothing(page_night)
    number = judged(page_night, "c1", None)
    browser = client("victor")

    assert browser.get("/webflow/api/overview").json()["credit"]["how_to_know"] == HOW_TO_KNOW
    text = browser.get("/webflow/", headers=HTML).text
    assert HOW_TO_KNOW in text
    assert 'class="verdict"' not in text
    assert HOW_TO_KNOW in browser.get(f"/webflow/conversions/{number}", headers=HTML).text


def test_the_picture_has_a_table_with_every_number(client: Callable[..., TestClient], page_night: Night):
    run = page_night.begin()
    counts = [0] * 15
    counts[0], counts[4], counts[14] = 1_234, 700, 66
    activity = {"offline-purchase": {f"{NOW:%Y-%m-%d}": counts}, "<b>evil</b>": {f"{NOW:%Y-%m-%d}": counts}}
    page_night.runs.end(run, unread([]), {"sources": {}, "activity": activity})

    text = client("victor").get("/webflow/", headers=HTML).text

    assert "61.7 % came within 30 minutes" in text
    assert "96.7 % within 24 hours" in text
    assert text.count('<svg class="histogram"') == 2
    assert text.count('class="line"') == 4
    assert text.count('<th scope="row">1–2 h</th><td>700</td><td>35 %</td>') == 2
    assert "<b>evil" not in text


def test_what_webflow_shows_stands_beside_what_was_accepted(client: Callable[..., TestClient], page_night: Night):
    for back, expected in ((1, {"will_count": 1_204, "may_count": 300}), (2, {"will_count": 900}), (3, {})):
        page_night.sql(
            "INSERT INTO webflow.readback VALUES ('webflow_default', 'deal-won', %s, '7', 1211, 2971, 2402, %s, %s)",
            (NOW - timedelta(days=back)).date(),
            json.dumps(expected),
            NOW,
        )
    browser = client("victor")

    days = browser.get("/webflow/api/overview").json()["credit"]["readback"]["deal-won"]
    text = browser.get("/webflow/", headers=HTML).text

    assert [(day["conversions"], day["accepted"], day["accepted_users"]) for day in days] == [(1211, 2971, 2402)] * 3
    assert re.findall(r'<td class="rows">([^<]*)</td>\n</tr>', text)[-3:] == ["1,204–1,504", "900", "–"]
    assert "<strong>1,211</strong>" in text


def test_a_conversion_says_why_it_counts_or_not(client: Callable[..., TestClient], page_night: Night):
    read_nothing(page_night)
    start = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    visit = {
        "started_at": int(start.timestamp() * 1000),
        "last_active_at": None,
        "first_viewed_at": None,
        "readings": ["wide", "lenient"],
    }
    number = judged(
        page_night, "c1", "may_count", "session_idle", visit_id="<i>s-1", visit=json.dumps(visit), minutes_from_activity=95
    )
    page_night.sql(
        "INSERT INTO webflow.history (conversion, what, detail, run_id) VALUES (%s, 'judged', 'may_count session_idle, was unknown not_loaded_yet', 'run')",
        number,
    )
    browser = client("victor")

    found = browser.get(f"/webflow/api/conversions/{number}").json()
    text = unescape(browser.get(f"/webflow/conversions/{number}", headers=HTML).text)

    one = found["conversion"]
    assert (one["attribution"], one["credited_under"], one["minutes_from_activity"]) == ("may_count", ["wide", "lenient"], 95)
    assert one["visit_started_at"].startswith("2026-11-23T18:00:00")
    for said in (
        one["attribution_meaning"],
        one["attribution_remedy"],
        "2026-11-23 18:00:00 UTC",
        "1 h 35 min",
        "Judged: it may count.",
    ):
        assert said in text
    assert re.findall(r"<dt>(\w+) reading</dt><dd>([a-z ]+) <", text) == [
        ("Strict", "does not count"),
        ("Wide", "counts"),
        ("Lenient", "counts"),
    ]


def test_a_list_is_narrowed_to_a_verdict(client: Callable[..., TestClient], page_night: Night):
    read_nothing(page_night)
    judged(page_night, "sure", "will_count")
    judged(page_night, "idle", "may_count", "session_idle")
    browser = client("ada")

    text = browser.get("/webflow/conversions?attribution=may_count", headers=HTML).text
    downloaded = post(browser, "/webflow/download?attribution=may_count").text

    assert ">idle</a>" in text
    assert ">sure</a>" not in text
    assert '<option value="may_count" title="may_count" selected>' in text
    assert "attribution=may_count" in re.findall(r'href="[^"]*/do/send_again\?([^"]*)"', text)[0]
    assert ",may_count,session_idle," in downloaded
    assert "sure" not in downloaded
    assert browser.get("/webflow/conversions?attribution=perhaps", headers=HTML).status_code == 422


# Acting


def test_sending_again_asks_first_and_then_does_it(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=NOW)
    browser = client("ada")

    asked = browser.get(f"/webflow/do/send_again?id={identifier}", headers=HTML).text
    assert "<strong>1</strong> will be ready to go out again" in asked
    assert page_night.row("c1").state == "rejected"

    answer = post(browser, f"/webflow/do/send_again?id={identifier}")
    assert answer.headers["location"] == "/webflow/actions/1"
    assert page_night.row("c1").state == "ready"
    done = browser.get("/webflow/actions/1", headers=HTML).text
    assert "ada" in done
    assert "ready to go out again" in done


def test_taking_back_asks_first_and_says_why_some_stay(client: Callable[..., TestClient], page_night: Night):
    put(page_night, "ready", "c1")
    put(page_night, "held", "c2", reason="unknown_user", user_id=None)
    put(page_night, "ready", "c3", attempts=1, attempts_in_doubt=1)
    put(page_night, "accepted", "c4")
    browser = client("ada")

    assert 'href="/webflow/do/take_back?source=sales"' in browser.get("/webflow/conversions?source=sales", headers=HTML).text
    asked = unescape(browser.get("/webflow/do/take_back?source=sales", headers=HTML).text)
    assert "<h1>Take back?</h1>" in asked
    assert "<strong>2</strong> will be withdrawn" in asked
    assert "<strong>1</strong> in doubt: a request for them may have left, so write them off instead" in asked
    assert "<strong>1</strong> accepted: what Webflow has received cannot be taken back" in asked
    assert "with_run" not in asked
    assert page_night.sql("SELECT count(*) FROM webflow.history") == [(0,)]

    answer = post(browser, "/webflow/do/take_back?source=sales")
    assert answer.headers["location"] == "/webflow/actions/1"
    assert page_night.states() == {
        "c1": ("withdrawn", "taken_back"),
        "c2": ("withdrawn", "taken_back"),
        "c3": ("ready", None),
        "c4": ("accepted", None),
    }
    done = browser.get("/webflow/actions/1", headers=HTML).text
    assert "Taken back: 2" in done
    assert "<strong>2</strong> withdrawn" in done
    assert "What is ready goes out" not in done
    assert "took back" in browser.get("/webflow/actions", headers=HTML).text


def test_what_was_taken_back_says_by_whom_and_when_and_can_be_found(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "ready")
    browser = client("ada")
    bearer = {"Authorization": f"Bearer {login('ada')}"}

    taken = client().post(f"/webflow/api/actions?id={identifier}", json={"action": "take_back"}, headers=bearer).json()
    shown = browser.get(f"/webflow/api/conversions/{identifier}").json()
    text = unescape(browser.get(f"/webflow/conversions/{identifier}", headers=HTML).text)

    assert taken["action"]["outcome"] == {"changed": 1}
    assert taken["action"]["person"] == "ada"
    assert "ada took it back." in [entry["text"] for entry in shown["timeline"]]
    assert not [entry for entry in shown["timeline"] if entry["is_ahead"]]
    assert shown["conversion"]["settled_at"] is not None
    assert "ada took it back." in text
    assert "Somebody took this conversion back before it was sent." in text
    assert "left." not in text.split("Timeline")[0]
    listed = browser.get("/webflow/api/conversions?state=withdrawn&reason=taken_back").json()["conversions"]
    assert [one["conversion_id"] for one in listed] == ["c1"]
    assert "badge-withdrawn" in browser.get("/webflow/conversions?state=withdrawn", headers=HTML).text
    csv = post(browser, "/webflow/download?state=withdrawn").text
    assert "withdrawn,taken_back" in csv
    (day,) = [day for day in browser.get("/webflow/api/overview").json()["days"] if day["withdrawn"]]
    assert day["withdrawn"] == {"sales": {"rows": 1, "value": "149.99"}}


def test_who_may_only_look_cannot_take_back(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "ready")
    viewer = client("victor")

    shown = viewer.get(f"/webflow/conversions/{identifier}", headers=HTML).text
    asked = viewer.get(f"/webflow/do/take_back?id={identifier}", headers=HTML)
    done = post(viewer, f"/webflow/do/take_back?id={identifier}")
    foreign = client("ada").post(f"/webflow/do/take_back?id={identifier}", headers={"Sec-Fetch-Site": "cross-site"})

    assert "take_back" not in shown
    assert (asked.status_code, done.status_code, foreign.status_code) == (403, 403, 403)
    assert page_night.row("c1").state == "ready"


def test_of_a_forgotten_person_the_page_says_that_it_was_removed(client: Callable[..., TestClient], page_night: Night):
    gone = {"user_domain": None, "user_id": None, "forgotten_at": NOW, "settled_at": NOW}
    sent = put(page_night, "accepted", "c1", attempts=1, **gone)
    taken = put(page_night, "withdrawn", "c2", reason="forgotten", **gone)
    browser = client("ada")

    for identifier in (sent, taken):
        text = browser.get(f"/webflow/conversions/{identifier}", headers=HTML).text
        assert "<dt>User</dt><dd>removed on" in text
        assert "The person behind it was removed from the ledger." in text
        assert "something of the event is missing" not in text
    assert "/do/" not in text
    assert browser.get(f"/webflow/api/conversions/{taken}").json()["conversion"]["forgotten_at"] is not None


def test_what_goes_out_unseen_by_its_run_is_said_on_the_page_and_in_the_json(
    client: Callable[..., TestClient], page_night: Night
):
    page_night.person()
    page_night.sale("good")
    page_night.read()
    found = {"sales": {"unseen": {"rows": 12, "value": "340.00"}, "withdrawn": {"rows": 0, "value": "0"}}}
    page_night.sql("UPDATE webflow.runs SET identified = %s", json.dumps(found))
    browser = client("victor")

    (source,) = browser.get("/webflow/api/overview").json()["sources"]
    text = unescape(browser.get("/webflow/", headers=HTML).text)

    assert source["identified"]["unseen"] == {"rows": 12, "value": "340.00"}
    (note,) = source["notes"]
    assert note["sentence"] == ("sales: 12 conversions (340.00) wait and were not returned this time; they are due all the same.")
    assert note["sentence"] in text
    assert note["remedy"] in text


def test_a_run_that_cannot_be_started_is_said_beside_what_was_done(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=NOW)

    answer = post(client("ada"), f"/webflow/do/send_again?id={identifier}", with_run="true")

    assert answer.status_code == 200
    assert "Airflow does not start a run" in answer.text
    assert page_night.row("c1").state == "ready"


def test_a_filter_is_downloaded_as_it_is_shown(client: Callable[..., TestClient], page_night: Night):
    for number in range(3):
        put(page_night, "rejected", f"=cmd|{number}", reason="refused_422", settled_at=NOW)
    put(page_night, "accepted", "other")

    answer = post(client("ada"), "/webflow/download?state=rejected")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="conversions-\d{8}-\d{6}\.csv"', answer.headers["content-disposition"])
    assert answer.text.count("\r\n") == 4
    assert answer.text.count(",'=cmd|") == 3
    assert "other" not in answer.text
    assert page_night.sql("SELECT person, action, filter, conversions FROM webflow.actions") == [
        ("ada", "download", {"state": "rejected"}, 3)
    ]


@pytest.mark.parametrize("lookup", ["begins=c", "user_of={id}", "conversion=c1"])
def test_an_act_touches_what_its_filter_shows_and_nothing_else(client: Callable[..., TestClient], page_night: Night, lookup: str):
    of_another = f"{DESTINATION}/other/offline-purchase/c1"
    left = put(page_night, "rejected", reason="refused_422", settled_at=NOW, action_id=of_another, source="other")
    put(page_night, "rejected", reason="refused_422", settled_at=NOW)
    browser = client("ada")
    query = f"{lookup.format(id=left)}&source=sales"

    listed = browser.get(f"/webflow/api/conversions?{query}").json()["conversions"]
    post(browser, f"/webflow/do/send_again?{query}")

    assert [one["source"] for one in listed] == ["sales"]
    assert page_night.sql("SELECT source, state FROM webflow.conversions ORDER BY source") == [
        ("other", "rejected"),
        ("sales", "ready"),
    ]


def test_a_download_from_a_ledger_that_is_down_is_one_sentence(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
):
    browser = client("ada")
    token = form_token(browser)
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", "postgres://nobody@127.0.0.1:1/nowhere")

    assert browser.post("/webflow/download", data={"csrf_token": token}, headers=SAME).status_code == 503


def test_an_act_is_seen_in_the_overview_at_once(client: Callable[..., TestClient], page_night: Night):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=NOW)
    browser = client("ada")
    before = browser.get("/webflow/api/overview").json()["ready"]["rows"]

    post(browser, f"/webflow/do/send_again?id={identifier}")

    assert (before, browser.get("/webflow/api/overview").json()["ready"]["rows"]) == (0, 1)


# Trouble


@pytest.mark.parametrize("path", ["/conversions", "/conversions/1", "/actions", "/api/conversions", "/api/overview", "/"])
def test_a_ledger_that_is_down_is_one_sentence_and_airflow_goes_on(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, path: str
):
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", "postgres://nobody@127.0.0.1:1/nowhere")
    browser = client("ada")

    answer = browser.get(f"/webflow{path}", headers=HTML)

    assert answer.status_code == 503
    assert "The ledger&#39;s database does not answer" in answer.text or "The ledger's database does not answer" in answer.text
    assert browser.get("/api/v2/version").status_code == 200
    assert browser.get("/webflow/static/page.css").status_code == 200


def buttons(text: str) -> dict[str, str]:
    """Where the buttons of a page lead to."""
    return {name: unescape(href) for href, name in re.findall(r'<a class="button[^"]*" href="([^"]*)"[^>]*>([^<]*)</a>', text)}


@pytest.mark.parametrize("path", ["/", "/conversions?state=rejected&reason=%3Cx%3E%26y", "/do/write_off?only=in_doubt"])
def test_trying_again_asks_the_same(client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, path: str):
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", "postgres://nobody@127.0.0.1:1/nowhere")

    answer = client("ada").get(f"/webflow{path}", headers=HTML)

    assert answer.status_code == 503
    assert buttons(answer.text)["Try again"] == f"/webflow{path}"
    assert "The ledger does not answer" in answer.text
    assert 'data-reload="15"' in answer.text


@pytest.mark.parametrize("path", ["/do/write_off?only=in_doubt", "/search"])
def test_what_somebody_does_is_not_done_again_by_itself(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, path: str
):
    browser = client("ada")
    token = form_token(browser)
    monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_LEDGER", "postgres://nobody@127.0.0.1:1/nowhere")

    answer = browser.post(f"/webflow{path}", data={"csrf_token": token, "text": "c1"}, headers=SAME)

    assert answer.status_code == 503
    assert "data-reload" not in answer.text
    assert "by itself" in answer.text
    assert buttons(answer.text)["Back to Tonight"] == "/webflow/"
    assert "Try again" not in buttons(answer.text)


def test_what_is_set_up_wrongly_is_not_said_to_be_the_ledgers_fault(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
):
    browser = client("ada")
    started = post(browser, "/webflow/runs")
    monkeypatch.delenv("AIRFLOW_CONN_WEBFLOW_LEDGER")
    shown = browser.get("/webflow/conversions", headers=HTML)

    for answer, sentence in ((started, "Airflow does not start a run"), (shown, "There is no connection webflow_ledger")):
        assert answer.status_code == 503
        assert sentence in answer.text
        assert "This cannot be done" in answer.text
        assert "The ledger does not answer" not in answer.text
        assert "data-reload" not in answer.text


def test_a_missing_connection_is_one_sentence(client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW_CONN_WEBFLOW_LEDGER")

    answer = client("ada").get("/webflow/api/overview")

    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("There is no connection webflow_ledger")


def test_a_ledger_that_was_never_set_up_is_no_trouble(client: Callable[..., TestClient], page_night: Night):
    page_night.sql("ALTER SCHEMA webflow RENAME TO elsewhere")
    try:
        browser = client("ada")
        assert (
            "No run is due" in browser.get("/webflow/", headers=HTML).text
            or "Airflow does not know the Dag" in browser.get("/webflow/", headers=HTML).text
        )
        answer = browser.get("/webflow/conversions", headers=HTML)
        assert answer.status_code == 503
        assert "There is no ledger yet" in answer.text
    finally:
        page_night.sql("ALTER SCHEMA elsewhere RENAME TO webflow")


def test_a_filter_that_takes_too_long_is_one_sentence(
    client: Callable[..., TestClient], page_night: Night, monkeypatch: pytest.MonkeyPatch
):
    from webflow_conversions.ui import ledger

    put(page_night, "held", user_id=None)
    monkeypatch.setattr(ledger, "READ_SECONDS", 0.3)
    with page_night.connect() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE webflow.conversions IN ACCESS EXCLUSIVE MODE")
        answer = client("ada").get("/webflow/api/conversions?state=held")
        page = client("ada").get("/webflow/conversions?state=held", headers=HTML)

    assert (answer.status_code, page.status_code) == (503, 503)
    assert "too long" in answer.json()["detail"]
    assert "This takes too long" in page.text
    assert "data-reload" not in page.text


def test_connections_are_given_back(client: Callable[..., TestClient], page_night: Night):
    browser = client("ada")
    for _ in range(20):
        assert browser.get("/webflow/conversions").status_code == 200

    connections = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'webflow_conversions'"
    )
    give_up_at = time.monotonic() + 10
    while page_night.sql(connections) != [(0,)]:  # PostgreSQL notices a moment later that a connection was closed
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


# Under a prefix


def test_every_address_holds_under_a_path_prefix(airflow: FastAPI, page_night: Night):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=NOW)
    from webflow_conversions.ui.app import create_app

    outer = FastAPI(root_path="/team/airflow")
    outer.mount("/webflow", create_app())
    browser = TestClient(outer, follow_redirects=False)
    browser.cookies.set("_token", login("ada"))

    for path in ("/", "/conversions", f"/conversions/{identifier}", f"/do/send_again?id={identifier}"):
        answer = browser.get(f"/team/airflow/webflow{path}", headers=HTML)
        assert answer.status_code == 200
        text = answer.text
        addresses = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', text)
        assert addresses
        assert all(address.startswith("/team/airflow/") for address in addresses)
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/team/airflow/webflow/", headers=HTML).text)
    assert token
    answer = browser.post("/team/airflow/webflow/search", data={"csrf_token": token[1], "text": "c1"}, headers=SAME)
    assert answer.headers["location"] == f"/team/airflow/webflow/conversions/{identifier}"


def test_a_run_that_plan_refused_says_why_on_the_page_and_in_the_json(
    client: Callable[..., TestClient], page_night: Night, runs_of_the_dag: Callable[..., None]
):
    runs_of_the_dag("scheduled__1", run_type="scheduled", state="failed")
    refused = Failure(
        task="plan",
        error="Stopped",
        sentence="Webflow refuses the token (HTTP 401): put a valid one into connection webflow_default.",
        at=NOW - timedelta(minutes=30),
        try_number=1,
        is_last_try=True,
    )
    page_night.runs.record_failure("scheduled__1", "scheduled", refused)
    browser = client("victor")

    document = browser.get("/webflow/api/overview").json()
    page = browser.get("/webflow/", headers=HTML).text

    sentence = refused.cause
    (run,) = document["runs"]
    assert (run["window_start"], run["accepted"], run["problems"]) == (None, None, [sentence])
    assert [(cause["cause"], cause["sentence"], cause["remedy"]) for cause in run["causes"]] == [
        ("task_failed", sentence, "Do what the sentence says, then clear the task.")
    ]
    assert document["status"]["cause"] == f"{sentence[0].upper()}{sentence[1:]}."
    assert document["status"]["run_id"] == "scheduled__1"
    assert page.count("Webflow refuses the token (HTTP 401)") >= 2
    assert "Do what the sentence says, then clear the task." in page
    assert "last line" not in page


# Dry runs


def look(night: Night, name: str = "dry", *, ends: bool = True, **options: Any) -> int:
    """A dry run of the source, as the tasks do it; its number."""
    run = night.begin(name, dry_run=True, **options)
    preview = night.dry_run(run)
    DryRuns(night.session).record(run, preview, night.clock.at)
    if ends:
        counts = {**tally_counts(preview.tally), "states": state_counts(preview.states)}
        night.runs.end(run, unread([]), {"sources": {"sales": counts}})
    return run.id


def words(answer: Any) -> str:
    """The text of a page, as people read it."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


@pytest.fixture
def sales(page_night: Night) -> Night:
    """A source with a row of each kind."""
    page_night.person("key-of-ann", user_id="user-of-ann")
    page_night.sale("good", key="key-of-ann", value="149.99")
    page_night.sale("not yet", key="key-of-ann", ago=-HOUR, value="4")
    page_night.sale("stranger", key="key-of-bob", value="64")
    page_night.sale("<b>bad</b>", key="key-of-ann", value="-1")
    page_night.sale("late", key="key-of-ann", ago=49 * HOUR, value="128")
    page_night.sale("old", key="key-of-ann", ago=40 * 24 * HOUR, value="256")
    return page_night


def test_a_dry_run_is_shown_as_tables_examples_and_payloads_without_people(client: Callable[..., TestClient], sales: Night):
    number = look(sales)
    browser = client("victor")

    answer = browser.get(f"/webflow/dry-runs/{number}", headers=HTML)
    document = browser.get(f"/webflow/api/dry-runs/{number}").json()

    found = re.findall(r'<tr data-state="(\w+)" data-reason="(\w*)">.*?<td class="rows">(\d+)</td>', answer.text, re.DOTALL)
    assert found == [
        ("ready", "", "1"),
        ("held", "unknown_user", "1"),
        ("future", "", "1"),
        ("rejected", "negative_value", "1"),
        ("expired", "expired_before_seen", "1"),
    ]
    text = words(answer)
    for said in ("would be sent", EXPLANATIONS[Reason.NEGATIVE_VALUE].remedy, "value = -1", "<b>bad</b>", "too_old"):
        assert said in text
    assert '"userId": "user…"' in unescape(answer.text)
    assert [one["state"] for one in document["sources"][0]["preview"]["outcomes"]] == [state for state, _, _ in found]
    for secret in ("user-of-ann", "key-of-bob", "key-of-ann"):
        assert secret not in answer.text
        assert secret not in json.dumps(document)
    assert browser.get(f"/webflow/?run={number}", headers=HTML).headers["location"] == f"/webflow/dry-runs/{number}"


def test_dry_runs_have_a_list_of_their_own_and_hide_no_real_run(
    client: Callable[..., TestClient], sales: Night, runs_of_the_dag: Callable[..., None]
):
    runs_of_the_dag("night", run_type="scheduled", state="success", conf=None)
    page_night_run = sales.read("night")
    sales.runs.end(page_night_run, unread([]), {})
    number = look(sales, "dry_0")
    for one in range(60):
        runs_of_the_dag(f"dry_{one}", run_type="manual", state="failed" if one else "success", conf={"dry_run": True})
        if one:
            sales.begin(f"dry_{one}", dry_run=True)
    browser = client("victor")

    document = browser.get("/webflow/api/overview").json()

    assert [run["run_id"] for run in document["runs"]] == ["night"]
    assert document["runs"][0]["is_in_airflow"]
    assert len(document["dry_runs"]) == 10
    page = browser.get("/webflow/", headers=HTML).text
    assert f"/webflow/dry-runs/{number + 59}" in page
    assert page.index('id="runs"') < page.index('id="dry-runs"')


def test_a_real_run_of_a_month_ago_stays_in_the_list_whatever_is_tried_since(page_night: Night):
    page_night.clock.at = NOW - timedelta(days=30)
    page_night.begin("real")
    page_night.clock.at = NOW
    for number in range(25):
        page_night.begin(f"dry {number}", dry_run=True)
    with reading() as session:
        runs = read_overview(session, DAG_ID, NOW).runs
    assert [run.run_id for run in runs if not run.dry_run] == ["real"]


def test_a_dry_run_says_which_source_failed_beside_what_the_others_showed(client: Callable[..., TestClient], sales: Night):
    number = look(sales, sources=["sales", "deals", "leads"], ends=False)
    browser = client("victor")
    path = f"/webflow/dry-runs/{number}"
    assert words(browser.get(path, headers=HTML)).count("Still to be read.") == 2
    assert 'data-refresh="5"' in browser.get(path, headers=HTML).text
    failure = Failure(
        task="extract",
        map_index=1,
        source="deals",
        error="Unavailable",
        sentence="The warehouse (connection crm) refuses the password.",
        at=NOW,
        try_number=4,
        is_last_try=True,
    )
    sales.runs.record_failure("dry", "manual", failure)
    run = Run(id=number, run_id="dry", window=Window.up_to(NOW), sources=["sales"], dry_run=True, force=False)
    sales.runs.end(run, unread(["deals", "leads"]), {})

    answer = browser.get(path, headers=HTML)

    text = words(answer)
    assert text.count("refuses the password") == 1
    assert "was not read to its end" in text
    assert 'data-state="ready"' in answer.text
    assert "data-refresh" not in answer.text


def test_the_result_of_a_dry_run_is_shown_for_a_day(client: Callable[..., TestClient], sales: Night):
    sales.clock.at = NOW - timedelta(hours=25)
    number = look(sales)

    text = words(client("victor").get(f"/webflow/dry-runs/{number}", headers=HTML))

    assert "it is kept for a day" in text
    assert "negative_value" not in text


@pytest.mark.parametrize("what", ["real", "refused", "none"])
def test_what_is_no_dry_run_is_not_found(client: Callable[..., TestClient], page_night: Night, what: str):
    number = page_night.begin("real").id if what == "real" else 1
    if what == "refused":
        failure = Failure(task="plan", error="Unusable", sentence="No.", at=NOW, try_number=1, is_last_try=True)
        page_night.runs.record_failure("refused", "manual", failure)

    assert client("victor").get(f"/webflow/dry-runs/{number}", headers=HTML).status_code == 404
    assert client("victor").get(f"/webflow/api/dry-runs/{number}").status_code == 404


# Rehearsals


@pytest.fixture
def rehearsal(page_night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """A rehearsal that has ended, of one conversion; the configuration asks for the next."""
    monkeypatch.setenv("WEBFLOW_CONVERSIONS_CONFIG", str(tmp_path / "conversions.yaml"))
    mode(tmp_path, "rehearse")
    page_night.person(user_id="a-user-id-of-a-person")
    page_night.sale("good", value=Decimal("12.50"))
    addresses = {DESTINATION: {"url": "https://log.intellimize.co/event", "customer_id": "123456789"}}
    run = page_night.begin("rehearsed", is_rehearsal=True, addresses=addresses)
    page_night.extract(run)
    page_night.identify(run)
    page_night.runs.rehearses(run, asked=True)
    evidence = page_night.runs.evidence(run, {DESTINATION: ["sales"]}, NOW, is_rehearsal=True)
    document = counts(evidence.accounts, evidence.pushes)
    document["sources"]["sales"]["first_to_send"] = [page_night.row("good").id]
    page_night.runs.end(run, page_night.verdict(run), document)
    return page_night


def forget_overviews() -> None:
    from webflow_conversions.ui.cache import overviews

    overviews.clear()


def mode(folder: Path, mode: str) -> None:
    (folder / "conversions.yaml").write_text(CONFIGURATION + f"delivery: {{mode: {mode}}}\n")


def read(browser: TestClient, path: str) -> str:
    answer = browser.get(f"/webflow{path}", headers=HTML)
    assert answer.status_code == 200, path
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def test_every_page_says_that_nothing_is_sent_and_how_to_go_live(client: Callable[..., TestClient], rehearsal: Night):
    browser = client("ada")
    number = rehearsal.row("good").id

    for path in ("/", "/conversions", f"/conversions/{number}", f"/do/take_back?id={number}", "/actions"):
        text = read(browser, path)
        assert "Rehearsal: nothing is sent to Webflow." in text, path
        assert "set delivery.mode: live in the configuration" in text


def test_the_overview_says_what_would_be_sent_and_where_to(client: Callable[..., TestClient], rehearsal: Night):
    text = read(client("ada"), "/")
    found = client("victor").get("/webflow/api/overview").json()

    assert "Conversions would go to https://log.intellimize.co/event for customer ID 123456789" in text
    assert "What the rehearsal would have sent" in text
    assert "Would be sent" in text
    assert "a-user-id-of-a-person" not in text
    (source,) = found["rehearsed"]
    assert (source["source"], source["amount"]) == ("sales", {"rows": 1, "value": "12.50"})
    (event,) = source["payloads"]
    assert event["actionId"].endswith("/sales/offline-purchase/good")
    assert event["userId"] != "a-user-id-of-a-person"
    assert found["is_rehearsal"] is True
    assert found["addresses"] == {DESTINATION: {"url": "https://log.intellimize.co/event", "customer_id": "123456789"}}
    assert found["total"]["ready"]["rows"] == 1
    (line,) = found["runs"]
    assert (line["is_rehearsal"], line["would_send"]["rows"]) == (True, 1)


def test_payloads_of_a_rehearsal_end_with_the_person_or_the_conversion(client: Callable[..., TestClient], rehearsal: Night):
    rehearsal.sql("UPDATE webflow.conversions SET user_domain = NULL, user_id = NULL, forgotten_at = now(), state = 'withdrawn'")
    forgotten = client("ada").get("/webflow/api/overview").json()["rehearsed"]
    rehearsal.sql("DELETE FROM webflow.conversions")
    forget_overviews()
    gone = client("ada").get("/webflow/api/overview").json()["rehearsed"]

    assert forgotten == gone == [{"source": "sales", "amount": {"rows": 1, "value": "12.50"}, "payloads": []}]


def test_sending_again_in_a_rehearsal_says_that_nothing_leaves(client: Callable[..., TestClient], rehearsal: Night):
    number = put(rehearsal, "rejected", "refused", reason="refused_422", settled_at=NOW)
    browser = client("ada")

    asked = read(browser, f"/do/send_again?id={number}")
    done = post(browser, f"/webflow/do/send_again?id={number}")
    after = read(browser, done.headers["location"].removeprefix("/webflow"))

    assert "This is a rehearsal: nothing leaves, whether a run is started or not." in asked
    assert "go out with the first live run" in after.replace("goes out", "go out")


def test_who_has_gone_live_reads_that_the_last_run_sent_nothing_and_the_next_will(
    client: Callable[..., TestClient], rehearsal: Night, tmp_path: Path
):
    mode(tmp_path, "live")
    browser = client("ada")

    text = read(browser, "/")
    asked = read(browser, f"/do/take_back?id={rehearsal.row('good').id}")

    assert "The last run was a rehearsal: it sent nothing. The configuration says live by now" in text
    assert "The last run was a rehearsal: it sent nothing." in asked
    assert "Conversions go to https://log.intellimize.co/event for customer ID 123456789" in text


def test_where_the_page_has_no_configuration_the_last_run_says_whether_it_is_a_rehearsal(
    client: Callable[..., TestClient], rehearsal: Night, tmp_path: Path
):
    (tmp_path / "conversions.yaml").unlink()

    assert "Rehearsal: nothing is sent to Webflow." in read(client("ada"), "/conversions")
    rehearsal.begin("live")
    assert "Rehearsal" not in read(client("ada"), "/conversions")


def test_in_live_operation_no_page_speaks_of_a_rehearsal(client: Callable[..., TestClient], page_night: Night):
    page_night.begin("live")

    for path in ("/", "/conversions", "/actions"):
        assert "nothing is sent" not in read(client("ada"), path)
