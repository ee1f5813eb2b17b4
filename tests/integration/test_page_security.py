"""What hostile people, sites, rows and requests can do to the page, and through it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import psycopg2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.night import Night
from tests.page import HTML, SAME, form_token, login, post
from tests.rows import put
from webflow_conversions.ledger.session import Session

Client = Callable[..., TestClient]

# From another site


@pytest.mark.parametrize("bearer", ["Bearer ", "Bearer", "bearer  ", "Bearer x", "Basic x", "Bearer {own}"])
@pytest.mark.parametrize("path", ["/api/actions?state=rejected", "/do/send_again?state=rejected", "/download", "/runs"])
def test_no_bearer_beside_a_cookie_takes_the_place_of_the_pages_token(client: Client, page_night: Night, path: str, bearer: str):
    put(page_night, "rejected", reason="refused_422")
    browser = client("ada")
    headers = {"Authorization": bearer.replace("{own}", login("ada")), "Sec-Fetch-Site": "cross-site"}
    body: dict[str, Any] = {"json": {"action": "send_again"}} if path.startswith("/api") else {"data": {"x": "y"}}

    answer = browser.post(f"/webflow{path}", headers=headers, **body)

    assert answer.status_code in (401, 403)
    assert page_night.row("c1").state == "rejected"
    assert page_night.sql("SELECT count(*) FROM webflow.actions") == [(0,)]


def test_a_form_needs_the_pages_token_whatever_the_login_is(client: Client, page_night: Night):
    put(page_night, "rejected", reason="refused_422")

    answer = client().post("/webflow/do/send_again?state=rejected", headers={"Authorization": f"Bearer {login('ada')}"})

    assert answer.status_code == 403
    assert page_night.row("c1").state == "rejected"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://proxy.example", 404),
        ("https://evil.example", 403),
        ("https://proxy.example.evil.example", 403),
        ("https://proxy.example@evil.example", 403),
        ("null", 403),
    ],
)
def test_behind_a_proxy_with_a_sub_path_only_the_proxys_own_pages_may_post(
    airflow: FastAPI, page_night: Night, monkeypatch: pytest.MonkeyPatch, origin: str, status: int
):
    from webflow_conversions.ui.app import create_app

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://proxy.example/team/airflow")
    outer = FastAPI(root_path="/team/airflow")
    outer.mount("/webflow", create_app())
    browser = TestClient(outer, base_url="http://inside:8080", follow_redirects=False, cookies={"_token": login("ada")})
    page = browser.get("/team/airflow/webflow/conversions", headers=HTML).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found

    answer = browser.post(
        "/team/airflow/webflow/search", data={"csrf_token": found[1], "text": "nothing"}, headers={"Origin": origin, **HTML}
    )

    assert answer.status_code == status


# Bodies, numbers and headers


@pytest.mark.parametrize("path", ["/api/search", "/api/actions", "/search", "/do/send_again", "/download"])
@pytest.mark.parametrize("user", ["ada", None])
def test_a_body_of_10_mb_is_refused_whoever_sends_it(client: Client, path: str, user: str | None):
    answer = client(user).post(
        f"/webflow{path}",
        content=(b"x" * 64 * 1024 for _ in range(160)),
        headers={"Content-Type": "application/json" if "/api/" in path else "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 413
    assert answer.json() == {"detail": "This is more than the page takes."}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000,
        b'{"text":' * 5_000,
        b'{"text": ' + b"9" * 60_000 + b"}",
        b'{"text": 1e999999999}',
        b'{"text": NaN}',
        b'{"text": "\\u0000"}',
        b'{"text": "\\ud800"}',
        b'{"text": null}',
        b"\xff\xfe",
        b"",
    ],
)
@pytest.mark.parametrize("path", ["/api/search", "/api/actions"])
def test_json_of_any_depth_and_size_is_a_refusal(client: Client, page_night: Night, path: str, body: bytes):
    browser = client()
    headers = {"Authorization": f"Bearer {login('ada')}", "Content-Type": "application/json"}

    answer = browser.post(f"/webflow{path}", content=body, headers=headers)

    assert answer.status_code in (400, 422)
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"run": "9" * 5_000},
        {"run": "1e5"},
        {"id": "0x10"},
        {"id": "\u0661" * 30},
        {"rows": "1001"},
        {"rows": "-1"},
        {"after": f"{'9' * 40}.1"},
        {"after": "1." + "9" * 40},
        {"value_from": "1e999999"},
        {"value_from": "NaN"},
        {"value_to": "Infinity"},
        {"happened_from": "99999-01-01"},
        {"sort": "value; DROP"},
        {"state": "rejected\x00"},
        {"reason": "a\x00b"},
    ],
)
def test_hostile_paging_and_filters_are_a_refusal(client: Client, page_night: Night, query: dict[str, str]):
    answer = client("victor").get(f"/webflow/api/conversions?{urlencode(query)}")

    assert answer.status_code == 422
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize("path", ["/conversions?conversion=canary", "/api/conversions?conversion=canary", "/api/overview", "/"])
def test_an_error_that_nobody_foresaw_is_told_without_what_was_looked_for(
    client: Client, page_night: Night, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    said = "no integer: \"canary\"\nLINE 1: SELECT 'canary'"

    def fail(*_: Any, **__: Any) -> Any:
        raise psycopg2.errors.InvalidTextRepresentation(said)

    monkeypatch.setattr(Session, "transaction", fail)
    answer = client("victor").get(f"/webflow{path}")

    assert answer.status_code == 500
    assert "Something unexpected happened: InvalidTextRepresentation, in ledger/" in answer.json()["detail"]
    logged = "\n".join(
        caplog.handler.format(record) for record in caplog.records if record.name.startswith("webflow_conversions")
    )
    assert "canary" not in f"{answer.text} {logged}"
    assert "in fail" in logged, "the log says where it comes from"


@pytest.mark.parametrize(
    "path", ["/conversions/{n}", "/api/conversions/{n}", "/api/dry-runs/{n}", "/dry-runs/{n}", "/actions/{n}"]
)
@pytest.mark.parametrize("number", ["0", "-1", "9" * 4_000, "1e3", "%00", "..%2f..%2fetc%2fpasswd"])
def test_a_number_in_an_address_that_is_none_is_not_looked_up(client: Client, page_night: Night, path: str, number: str):
    assert client("ada").get(f"/webflow{path.replace('{n}', number)}").status_code in (404, 422)


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", "a\nX-Evil: 1", "\r\n\r\n<script>alert(1)</script>"])
def test_no_text_becomes_a_header(client: Client, page_night: Night, text: str):
    put(page_night, "held", "a", user_id=None, source=text, reason="unknown_user")
    put(page_night, "held", "ab", user_id=None, reason="unknown_user")
    browser = client("ada")

    answers = [
        post(browser, "/webflow/search", text=text),
        post(browser, f"/webflow/download?{urlencode({'source': text})}"),
        post(browser, f"/webflow/do/write_off?{urlencode({'source': text})}"),
        browser.get(f"/webflow/conversions?{urlencode({'source': text})}", headers=HTML),
    ]

    for answer in answers:
        assert answer.status_code < 500
        assert not {"set-cookie", "x-evil"} & {name.lower() for name in answer.headers}
        assert not re.search(r"[\r\n]", "".join(answer.headers.values()))
        assert "<script>alert" not in answer.text or answer.headers["content-type"].startswith("text/csv")


# What may be kept, framed and run


PAGES = ["/", "/conversions", "/conversions/1", "/conversions/99", "/actions", "/do/write_off", "/api/overview", "/api/conversions",
         "/api/actions", "/api/summary", "/nowhere"]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_no_answer_with_peoples_data_is_kept_or_framed_by_others(client: Client, page_night: Night, path: str):
    put(page_night, "accepted", settled_at=datetime.now(UTC))

    answer = client("ada").get(f"/webflow{path}", headers=HTML)

    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]


def test_a_download_is_kept_by_nobody(client: Client, page_night: Night):
    put(page_night, "accepted", settled_at=datetime.now(UTC))

    answer = post(client("ada"), "/webflow/download")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\u2028</textarea>--><svg/onload=alert(1)>"
FIELDS = ("conversion_id", "event_name", "source", "user_domain", "user_id", "reason", "detail", "trouble", "run_id", "action_id",
          "identity_key", "destination", "attribution_reason", "visit_id")  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("user", ["ada", "victor"])
def test_no_field_of_a_conversion_runs_in_a_browser(client: Client, page_night: Night, field: str, user: str):
    page_night.sql("INSERT INTO webflow.destinations (destination) VALUES (%s) ON CONFLICT DO NOTHING", HOSTILE)
    identifier = put(page_night, "rejected", settled_at=datetime.now(UTC), **{"reason": "refused_422", field: HOSTILE})
    columns = "&".join(f"columns={name}" for name in ("source", "event", "user", "customer", "counts", "answer", "detail", "why"))
    browser = client(user)

    for path in (f"/conversions?{columns}", f"/conversions/{identifier}", "/"):
        answer = browser.get(f"/webflow{path}", headers=HTML)
        assert answer.status_code == 200
        assert not re.search(r"<script>alert|<img|<svg/|</textarea>|-->", answer.text)
    for path in ("/api/conversions", f"/api/conversions/{identifier}", "/api/overview"):
        answer = browser.get(f"/webflow{path}", headers=HTML)
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("what", ["attempt_failed", "corrected", "judged", "send_again", HOSTILE])
def test_no_history_or_note_runs_in_a_browser(client: Client, page_night: Night, what: str):
    identifier = put(page_night, "rejected", reason="refused_422", settled_at=datetime.now(UTC))
    page_night.sql(
        "INSERT INTO webflow.history (conversion, what, detail, person, run_id) VALUES (%s, %s, %s, %s, %s)",
        identifier,
        what,
        *[HOSTILE] * 3,
    )
    page_night.sql(
        "INSERT INTO webflow.actions (person, action, filter, run_id) VALUES (%s, %s, %s, %s)",
        HOSTILE,
        "send_again",
        json.dumps({"reason": HOSTILE, HOSTILE: HOSTILE}),
        HOSTILE,
    )
    page_night.begin(HOSTILE)
    page_night.sql("UPDATE webflow.runs SET problems = ARRAY[%s], notes = ARRAY[%s]", HOSTILE, HOSTILE)
    browser = client("ada")

    for path in (f"/conversions/{identifier}", "/actions", "/actions/1", "/"):
        answer = browser.get(f"/webflow{path}", headers=HTML)
        assert answer.status_code == 200
        assert not re.search(r"<script>alert|<img|<svg/|</textarea>|-->", answer.text)


# People


USER_ID = "72349876"


def test_a_user_id_is_shortened_for_viewers_in_page_and_json_alike_and_there_is_no_file(client: Client, page_night: Night):
    identifier = put(page_night, "accepted", settled_at=datetime.now(UTC), user_id=USER_ID)
    victor, ada = client("victor"), client("ada")

    for path in ("/conversions?columns=user", f"/conversions/{identifier}", "/api/conversions", f"/api/conversions/{identifier}"):
        assert USER_ID not in victor.get(f"/webflow{path}", headers=HTML).text
        assert USER_ID in ada.get(f"/webflow{path}", headers=HTML).text
    assert post(victor, "/webflow/download").status_code == 403
    assert USER_ID in post(ada, "/webflow/download").text


@pytest.fixture
def few_tries(monkeypatch: pytest.MonkeyPatch) -> int:
    """Tries of everybody anew, of which there are only some."""
    from webflow_conversions.ui import search

    monkeypatch.setattr(search, "tries", search.Tries())
    monkeypatch.setattr(search, "MOST_TRIES", 5)
    return 5


@pytest.mark.parametrize("way", ["page", "API"])
def test_a_viewer_who_guesses_user_ids_is_stopped_after_some_tries(client: Client, page_night: Night, few_tries: int, way: str):
    put(page_night, "accepted", settled_at=datetime.now(UTC), user_id=USER_ID)
    victor = client("victor")
    token = form_token(victor)

    def guess(user_id: str) -> Any:
        if way == "page":
            return victor.post("/webflow/search", data={"csrf_token": token, "text": user_id}, headers=SAME)
        return victor.post("/webflow/api/search", json={"text": user_id}, headers={"X-CSRF-Token": token})

    guesses = [guess(f"7234{number:04}") for number in range(few_tries)]
    found = guess(USER_ID)

    assert {answer.status_code for answer in guesses} == ({404} if way == "page" else {200})
    assert found.status_code == 429
    assert int(found.headers["retry-after"]) > 0
    assert "Too many searches" in found.text
    assert "user_of" not in found.headers.get("location", "")


def test_an_order_number_in_hand_and_those_who_may_see_ids_are_never_stopped(client: Client, page_night: Night, few_tries: int):
    put(page_night, "accepted", "A-1", settled_at=datetime.now(UTC), user_id=USER_ID)
    victor, ada = client("victor"), client("ada")
    viewers, actors = form_token(victor), form_token(ada)

    for _ in range(3 * few_tries):
        found = victor.post("/webflow/search", data={"csrf_token": viewers, "text": "A-1"}, headers=SAME)
        assert found.status_code == 303
        assert ada.post("/webflow/search", data={"csrf_token": actors, "text": "nobody"}, headers=SAME).status_code == 404


def test_tries_come_back_with_time_and_are_counted_for_each_person(monkeypatch: pytest.MonkeyPatch):
    from webflow_conversions.ui import search

    now = [1_000.0]
    monkeypatch.setattr(search, "monotonic", lambda: now[0])
    tries = search.Tries()

    def tried(person: str) -> int:
        """How many are left, by taking them."""
        for number in range(1_000):
            try:
                tries.take(person)
            except search.TooManySearches:
                return number
        raise AssertionError

    assert [tried("victor"), tried("victor"), tried("vera")] == [search.MOST_TRIES, 0, search.MOST_TRIES]
    now[0] += 2 * search.SECONDS_FOR_A_TRY
    assert tried("victor") == 2
    now[0] += 100 * search.MOST_TRIES * search.SECONDS_FOR_A_TRY
    assert tried("victor") == search.MOST_TRIES


def test_tries_of_many_people_take_little_memory():
    from webflow_conversions.ui import search

    tries = search.Tries()
    for number in range(search.MOST_PEOPLE + 100):
        tries.take(f"person {number}")

    assert len(tries._full_at) == search.MOST_PEOPLE


@pytest.mark.parametrize("guess", ["7234987", "7234", "72349876 ", "%", "72349876%", "_2349876", "72349877"])
def test_a_part_of_a_user_id_finds_nobody_for_a_viewer(client: Client, page_night: Night, guess: str):
    put(page_night, "accepted", "A-1", settled_at=datetime.now(UTC), user_id=USER_ID)

    answer = post(client("victor"), "/webflow/search", text=guess)

    assert answer.status_code == (303 if guess.strip() == USER_ID else 404)
