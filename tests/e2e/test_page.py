"""The conversions page in a real browser, in a real Airflow, after a real run."""

import csv
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from demo.browser import program
from demo.stage import DAG_ID, Stage
from tests.e2e.conftest import Night, begin_anew, due, night, run_by_hand

pytestmark = [pytest.mark.airflow, pytest.mark.browser]

PAGE = "/plugin/conversions"
PATIENCE_MS = 60_000
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser."""
    path = program()
    if path is None:
        pytest.skip("NO BROWSER IS INSTALLED, SO THE PAGE WAS NOT TESTED IN ONE: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield browser
        browser.close()


@dataclass(frozen=True, kw_only=True)
class Told:
    """A night whose run got all answers but one: the API refused the conversion ``refused``."""

    stage: Stage
    night: Night
    refused: Any

    def ledger(self, sql: str, *parameters: Any) -> list[Any]:
        return self.stage.ledger(sql, *parameters)

    def action_id(self) -> str:
        source, event_name, conversion_id = self.refused[:3]
        return f"webflow_default/{source}/{event_name}/{conversion_id}"


@pytest.fixture(scope="module")
def told(stage: Stage, configuration: Path, first_night: Night) -> Told:
    """A run of its own on an empty ledger, with one refusal in it, which makes it red."""
    begin_anew(stage, configuration)
    now = datetime.now(UTC)
    refused = min(one for one in due(stage, now - timedelta(hours=30), now - timedelta(hours=1)) if one[0] == "offline_sales")
    told = Told(stage=stage, night=first_night, refused=refused)
    stage.simulator.faults([{"action": "status", "status": 422, "action_id": told.action_id()}])
    done = run_by_hand(stage)
    stage.simulator.faults([])
    assert list(done.failures) == ["reconcile"], done.failures
    return Told(stage=stage, night=done, refused=refused)


Open = Callable[..., Any]


@pytest.fixture(scope="module")
def log_in(chromium: Any, stage: Stage) -> Callable[[str], Any]:
    """Logs in through Airflow's form, once for each user; what the browser then keeps."""

    @cache
    def logged_in(user: str) -> Any:
        with chromium.new_context() as context:
            context.set_default_timeout(PATIENCE_MS)
            tab = context.new_page()
            tab.goto(f"{stage.airflow.url}/auth/login")
            tab.get_by_label("Username").fill(user)
            tab.get_by_label("Password", exact=True).fill(
                stage.airflow.password if user == "admin" else stage.airflow.viewer_password
            )
            tab.get_by_role("button", name="Sign in").click()
            tab.wait_for_url(lambda url: "/auth/login" not in url)
            return context.storage_state()

    return logged_in


@pytest.fixture
def browse(chromium: Any, log_in: Callable[[str], Any]) -> Iterator[Open]:
    """Gives a tab of somebody who is logged in; anything that the browser complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def opened(user: str = "admin", *, expects_trouble: bool = False, **settings: Any) -> Any:
        context = chromium.new_context(**{"viewport": DESK, "storage_state": log_in(user), **settings})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        tab = context.new_page()
        if not expects_trouble:
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def framed(tab: Any) -> Any:
    """The page inside Airflow's frame."""
    return tab.frame_locator("iframe[title=Webflow]")


def figure(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def state_of(stage: Stage, action_id: str) -> Any:
    return stage.ledger("SELECT * FROM webflow.conversions WHERE action_id = %s", action_id)[0]


def test_a_run_for_a_date_is_triggered_in_the_form_and_its_figures_are_the_ledgers(anew: Stage, browse: Open):
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    tab = browse()

    tab.goto(f"{anew.airflow.url}/dags/{DAG_ID}")
    before = {run["dag_run_id"] for run in anew.airflow.runs(DAG_ID)}
    tab.get_by_role("button", name="Trigger Dag").click()
    tab.locator("#element_date").fill(yesterday.isoformat())
    tab.get_by_role("dialog").get_by_role("button", name=re.compile("^Trigger")).last.click()
    deadline = time.monotonic() + 60
    while not (made := {run["dag_run_id"] for run in anew.airflow.runs(DAG_ID)} - before):
        assert time.monotonic() < deadline, "the form triggered no run"
        time.sleep(0.2)
    run_id = made.pop()
    anew.airflow.wait_for_run(DAG_ID, run_id)
    done = night(anew, run_id)
    assert (done.record.window_start.date(), done.record.window_end - done.record.window_start) == (yesterday, timedelta(days=1))

    tab.get_by_role("link", name="Webflow", exact=True).click()
    page = framed(tab)
    page.locator("[data-step=accepted]").first.wait_for()

    for source in ("offline_sales", "crm_conversions"):
        of_source = [row for row in done.conversions if row.source == source]
        accepted = [row for row in of_source if row.state == "accepted"]
        steps = {
            step: figure(page.locator(f"[data-step={step}][data-source={source}] .rows").inner_text())
            for step in ("read", "in_window", "known", "sent", "accepted")
        }
        worth = page.locator(f"[data-step=accepted][data-source={source}] .worth").inner_text()
        (account,) = anew.ledger("SELECT read_rows FROM webflow.extractions WHERE source = %s ORDER BY id DESC LIMIT 1", source)
        assert steps["accepted"] == steps["sent"] == len(accepted) > 0
        assert steps["read"] == account.read_rows
        assert steps["in_window"] - steps["known"] >= len([row for row in of_source if row.state == "held"]) > 0
        assert worth == f"{sum(row.value or 0 for row in accepted):,.2f}"
    held = page.get_by_role("link", name=re.compile("^Held")).locator("strong").inner_text()
    assert figure(held) == len([row for row in done.conversions if row.state == "held"])
    reasons = {
        row.get_attribute("data-reason"): figure(row.locator("td.rows").first.inner_text())
        for row in page.locator("tr[data-reason]").all()
    }
    rejected = {row.reason for row in done.conversions if row.state == "rejected"}
    assert rejected
    assert {reason: reasons[reason] for reason in rejected} == {
        reason: len([row for row in done.conversions if row.reason == reason]) for reason in rejected
    }
    today = page.locator(f"tr[data-day='{datetime.now(UTC).date()}'] td").first
    assert int(today.get_attribute("data-value")) == len([row for row in done.conversions if row.state == "accepted"])


def test_a_refusal_is_the_first_that_is_said_and_leads_to_the_conversion(told: Told, browse: Open):
    tab = browse()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    page = framed(tab)

    page.locator(".cause", has_text="Webflow refused 1 conversion").wait_for()
    page.locator("tr[data-cause=refused] td.rows a").click()

    page.get_by_role("link", name=told.refused[2], exact=True).wait_for()


def test_a_link_to_the_run_leads_out_of_the_frame(told: Told, browse: Open):
    tab = browse()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")

    framed(tab).locator("table.runs a[data-airflow]").first.click()

    tab.wait_for_url(re.compile(rf"/dags/{DAG_ID}/runs/"))


@pytest.mark.parametrize("known", ["conversion ID", "order number as people write it", "action ID", "user ID", "identity key"])
def test_a_conversion_is_found_by_what_is_known_of_it(told: Told, browse: Open, known: str):
    (row,) = told.ledger("SELECT * FROM webflow.conversions WHERE state = 'accepted' ORDER BY id LIMIT 1")
    tab = browse()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    page = framed(tab)

    page.get_by_role("searchbox").fill(
        {
            "conversion ID": row.conversion_id,
            "order number as people write it": f" No. {row.conversion_id.lower()}",
            "action ID": row.action_id,
            "user ID": row.user_id,
            "identity key": row.identity_key,
        }[known]
    )
    page.get_by_role("button", name="Find").click()
    if known in ("user ID", "identity key"):
        page.get_by_role("link", name=row.conversion_id, exact=True).click()

    page.get_by_role("heading", name=row.conversion_id, exact=True).wait_for()
    assert "Accepted (HTTP 200)." in page.locator(".timeline").inner_text()
    payload = page.locator(".payload").inner_text()
    assert f'"actionId": "{row.action_id}"' in payload
    assert f'"userId": "{row.user_id}"' in payload
    assert f'"actionTimestamp": {row.action_timestamp_ms}' in payload
    assert row.user_id not in tab.url


def test_a_list_is_narrowed_put_in_order_by_the_keyboard_and_shared_by_a_link(told: Told, browse: Open):
    tab = browse(permissions=["clipboard-read", "clipboard-write"])
    tab.goto(f"{told.stage.airflow.url}/webflow/conversions")

    tab.locator("select[name=state]").select_option(label="received by Webflow")
    tab.get_by_label("Value from").fill("50")
    tab.get_by_text("Columns", exact=True).press("Enter")
    tab.locator("input[value=customer]").press("Space")
    tab.get_by_role("button", name="Show").press("Enter")
    tab.locator("[data-summary] strong").first.wait_for()
    tab.get_by_role("columnheader", name="Value").get_by_role("link").press("Enter")
    tab.locator("th[aria-sort=descending]").wait_for()
    tab.get_by_role("link", name="Copy the link to this list").press("Enter")
    tab.get_by_role("link", name="Link copied").wait_for()

    link = tab.evaluate("navigator.clipboard.readText()")
    ((count, value),) = told.ledger(
        "SELECT count(*), max(value) FROM webflow.conversions WHERE state = 'accepted' AND value >= 50"
    )
    shared = browse()
    shared.goto(link)
    assert figure(shared.locator("[data-summary] strong").first.inner_text()) == count > 0
    assert shared.locator("tbody td[data-name=Value]").first.inner_text() == f"{value:,.2f}"
    assert shared.get_by_role("columnheader", name="Customer").count() == 1


def test_a_held_conversion_says_whom_it_waits_for_to_those_who_may_act(told: Told, browse: Open):
    (row,) = told.ledger("SELECT * FROM webflow.conversions WHERE state = 'held' ORDER BY id LIMIT 1")

    for user, is_shown in (("admin", True), ("viewer", False)):
        tab = browse(user)
        tab.goto(f"{told.stage.airflow.url}/webflow/conversions/{row.id}")
        tab.locator("[data-waits-for]").wait_for()
        assert (row.identity_key in tab.content()) is is_shown
        tab.goto(f"{told.stage.airflow.url}/webflow/conversions?key_of={row.id}&columns=customer&columns=why")
        assert (row.identity_key in tab.content()) is is_shown


def test_nothing_found_is_a_sentence(told: Told, browse: Open):
    tab = browse(expects_trouble=True)
    tab.goto(f"{told.stage.airflow.url}{PAGE}")

    framed(tab).get_by_role("searchbox").fill("<script>alert(1)</script>")
    framed(tab).get_by_role("button", name="Find").click()

    framed(tab).get_by_role("heading", name="Nothing is known of “<script>alert(1)</script>”").wait_for()


def test_a_refused_conversion_is_sent_again_and_accepted(told: Told, browse: Open):
    action_id = told.action_id()
    assert state_of(told.stage, action_id).reason == "refused_422"
    tab = browse()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    page = framed(tab)

    page.locator("tr[data-reason=refused_422] td.rows a").click()
    page.get_by_role("link", name=told.refused[2], exact=True).click()
    page.get_by_text("Webflow refused it (HTTP 422).").first.wait_for()
    page.get_by_text("For engineers").click()
    page.get_by_text("Webflow refused the event for good, with HTTP status 422.").wait_for()
    page.get_by_role("link", name="Send it again…").click()
    page.get_by_text("will be ready to go out again").wait_for()
    page.get_by_role("button", name="Send again").click()
    page.get_by_role("heading", name="Sent again: 1").wait_for()

    (record,) = told.ledger("SELECT * FROM webflow.actions")
    assert (record.person, record.action, record.conversions) == ("admin", "send_again", 1)
    assert told.stage.airflow.wait_for_run(DAG_ID, record.run_id) == "success"
    assert state_of(told.stage, action_id).state == "accepted"
    assert [event["answer_status"] for event in told.stage.simulator.events(action_id)][-1] == 200
    page.get_by_role("link", name="The conversions").click()
    page.get_by_text("Accepted (HTTP 200).").wait_for()
    assert "admin asked for it to be sent again." in page.locator(".timeline").inner_text()


def test_what_a_filter_shows_is_downloaded(told: Told, browse: Open, tmp_path: Path):
    tab = browse()
    tab.goto(f"{told.stage.airflow.url}{PAGE}/webflow/conversions?state=held")

    with tab.expect_download() as download:
        framed(tab).get_by_role("button", name="Download as CSV").click()
    download.value.save_as(tmp_path / "held.csv")

    with (tmp_path / "held.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    held = told.ledger("SELECT conversion_id FROM webflow.conversions WHERE state = 'held'")
    assert sorted(row["conversion_id"] for row in rows) == sorted(row.conversion_id for row in held)
    assert {row["state"] for row in rows} == {"held"}


def test_who_may_only_look_has_no_buttons_and_sees_no_user_in_clear(told: Told, browse: Open):
    (row,) = told.ledger("SELECT * FROM webflow.conversions WHERE state = 'accepted' ORDER BY id LIMIT 1")
    tab = browse("viewer")

    tab.goto(f"{told.stage.airflow.url}/webflow/conversions/{row.id}")
    assert row.user_id not in tab.content()
    tab.goto(f"{told.stage.airflow.url}/webflow/conversions?state=held")
    assert tab.get_by_text("Download as CSV").count() == 0
    assert tab.get_by_text("Send again").count() == 0


def test_it_stays_fresh_by_itself_and_says_as_of_when_it_speaks(told: Told, browse: Open):
    tab = browse()
    tab.clock.install()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    page = framed(tab)
    page.locator("details").first.locator("summary").click()
    first = page.locator("#main").get_attribute("data-as-of")
    counted = page.locator("[data-countdown]").inner_text()

    deadline = time.monotonic() + 45
    while page.locator("#main").get_attribute("data-as-of") == first:
        assert time.monotonic() < deadline, "the page did not refresh"
        tab.clock.run_for(5_000)

    assert re.fullmatch(r"\d\d:\d\d:\d\d", counted)
    assert page.locator("[data-countdown]").inner_text() != counted
    assert page.locator("details").first.get_attribute("open") is not None


def test_a_refresh_waits_for_the_answer_to_the_one_before(told: Told, browse: Open):
    tab = browse()
    tab.clock.install()
    tab.goto(f"{told.stage.airflow.url}/webflow/")
    asked: list[Any] = []

    def never_answer(route: Any) -> None:
        asked.append(route)

    tab.route(re.compile(r"/webflow/$"), never_answer)

    with tab.expect_request(re.compile(r"/webflow/$")):
        tab.clock.run_for(50_000)
    tab.get_by_text("waiting for an answer").wait_for()
    tab.wait_for_timeout(500)

    assert len(asked) == 1


def test_a_ledger_that_is_away_is_a_sentence_and_airflow_goes_on(told: Told, browse: Open):
    tab = browse(expects_trouble=True)
    tab.clock.install()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    framed(tab).locator("[data-step=accepted]").first.wait_for()
    told.stage.set_connection("webflow_ledger", port=1)
    try:
        tab.clock.run_for(20_000)
        framed(tab).get_by_text("The ledger's database does not answer").first.wait_for()
        assert framed(tab).locator("[data-step=accepted]").count() > 0
        tab.goto(f"{told.stage.airflow.url}{PAGE}")
        framed(tab).get_by_role("heading", name="The ledger does not answer").wait_for()
        tab.get_by_role("link", name="Dags", exact=True).click()
        tab.get_by_role("link", name=DAG_ID).first.wait_for()
    finally:
        told.stage.set_connection("webflow_ledger")


# The look


def paths(told: Told) -> list[str]:
    (row,) = told.ledger("SELECT id FROM webflow.conversions WHERE state = 'accepted' ORDER BY id LIMIT 1")
    return [
        "/",
        "/conversions?state=held",
        "/conversions?sort=-value&columns=value&columns=customer&columns=user&columns=answer&happened_from=2020-01-01",
        f"/conversions/{row.id}",
        "/do/send_again?state=rejected",
        "/actions",
        "/conversions/999999999",
    ]


def test_it_follows_airflows_light_and_dark(told: Told, browse: Open):
    tab = browse(color_scheme="light")
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    page = framed(tab)
    page.locator("h1").wait_for()

    def background() -> str:
        return str(page.locator("html").evaluate("node => getComputedStyle(node).backgroundColor"))

    light = background()
    assert page.locator("html").get_attribute("class") == "light"
    tab.get_by_role("button", name="User").click()
    tab.get_by_text("Appearance", exact=True).click()
    tab.get_by_text("Dark Mode", exact=True).click()
    page.locator("html.dark").wait_for()

    dark = background()
    assert dark != light
    assert dark == tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_no_page_has_a_serious_finding_of_accessibility(told: Told, browse: Open, scheme: str, viewport: dict[str, int]):
    from axe_playwright_python.sync_playwright import Axe

    tab = browse(color_scheme=scheme, viewport=viewport, expects_trouble=True)
    found = []
    for path in paths(told):
        tab.goto(f"{told.stage.airflow.url}/webflow{path}")
        tab.locator("h1").wait_for()
        violations = Axe().run(tab).response["violations"]
        found += [(path, one["id"], one["nodes"][0]["html"]) for one in violations if one["impact"] in ("serious", "critical")]

    assert found == []


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_needs_no_scrolling_sideways(told: Told, browse: Open, width: int):
    tab = browse(viewport={"width": width, "height": 800}, expects_trouble=True)
    for path in paths(told):
        tab.goto(f"{told.stage.airflow.url}/webflow{path}")
        tab.locator("h1").wait_for()
        tab.wait_for_timeout(300)

        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path


def test_both_charts_are_drawn_and_their_figures_are_in_tables(told: Told, browse: Open):
    tab = browse()
    tab.goto(f"{told.stage.airflow.url}{PAGE}")
    page = framed(tab)
    page.locator(".uplot canvas").nth(1).wait_for()

    for place in range(2):
        painted = (
            page.locator(".uplot canvas")
            .nth(place)
            .evaluate(
                "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(byte => byte > 0)"
            )
        )
        assert painted
        assert page.locator("figure.chart details table").nth(place).locator("tbody tr").count() == 14
