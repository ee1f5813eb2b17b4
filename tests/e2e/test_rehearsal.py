"""A rehearsal through the real scheduler, on the real page; then the same night live."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.browser import logged_in, program
from demo.stage import CUSTOMER_ID, DAG_ID, Stage
from tests.e2e.conftest import SAMPLE, Night, run_by_hand
from tests.e2e.test_nights import assert_sent_what_was_due

pytestmark = pytest.mark.airflow

REHEARSE = SAMPLE.replace("delivery: {", "delivery: {mode: rehearse, ")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def rehearsed(anew: Stage, configuration: Path) -> Night:
    """A night of which the configuration says that nothing leaves."""
    configuration.write_text(REHEARSE)
    return run_by_hand(anew)


@pytest.fixture
def browser(anew: Stage) -> Iterator[Any]:
    """A tab of somebody who is logged in."""
    if program() is None:
        pytest.skip("NO BROWSER IS INSTALLED, SO THE PAGE WAS NOT TESTED IN ONE: apt-get install chromium")
    with logged_in(anew.airflow, **DESK) as page:
        yield page


def test_a_rehearsal_is_green_and_sends_nothing_and_going_live_sends_what_is_due_once(
    anew: Stage, configuration: Path, rehearsed: Night
) -> None:
    assert (rehearsed.run["state"], rehearsed.failures) == ("success", {})
    assert rehearsed.events == []
    assert {row.state for row in rehearsed.conversions} & {"sending", "accepted"} == set()
    ready = {source: counts["would_send"]["rows"] for source, counts in rehearsed.record.counts["sources"].items()}
    assert sum(ready.values()) == sum(row.state == "ready" for row in rehearsed.conversions) > 50
    assert rehearsed.record.is_rehearsal
    assert rehearsed.record.verdict["level"] == "note"
    address = {"url": f"{anew.simulator.url}/event", "customer_id": CUSTOMER_ID}
    assert rehearsed.record.addresses == {"webflow_default": address}
    assert rehearsed.record.hints == {}  # The connections are those of Airflow's database.
    told = f"to {anew.simulator.url}/event for customer ID {CUSTOMER_ID} (connection webflow_default)"
    assert told in anew.airflow.log(DAG_ID, rehearsed.run["dag_run_id"], "plan")
    assert f"would go {told}" in anew.airflow.log(DAG_ID, rehearsed.run["dag_run_id"], "push", map_index=0)

    configuration.write_text(SAMPLE)
    live, again = run_by_hand(anew), run_by_hand(anew)

    assert (live.run["state"], live.failures) == ("success", {})
    assert_sent_what_was_due(live)
    assert len(again.events) == len({event["action_id"] for event in again.events})
    assert again.failures == {}


@pytest.mark.browser
def test_no_page_can_be_read_without_seeing_that_it_is_a_rehearsal(
    anew: Stage, configuration: Path, rehearsed: Night, browser: Any, tmp_path: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    (row,) = anew.ledger("SELECT id FROM webflow.conversions WHERE state = 'ready' ORDER BY id LIMIT 1")
    for scheme in ("light", "dark"):
        browser.emulate_media(color_scheme=scheme)
        for name, size in (("desk", DESK), ("phone", PHONE)):
            browser.set_viewport_size(size)
            for path in ("/", "/conversions?state=ready", f"/conversions/{row.id}", f"/do/take_back?id={row.id}", "/actions"):
                browser.goto(f"{anew.airflow.url}/webflow{path}")
                band = browser.get_by_role("complementary", name="Rehearsal")
                assert band.get_by_text("Rehearsal: nothing is sent to Webflow.").is_visible()
                assert band.bounding_box()["y"] < size["height"] / 3
                assert browser.evaluate("document.documentElement.scrollWidth") <= size["width"]
                violations = Axe().run(browser).response["violations"]
                assert [one["id"] for one in violations if one["impact"] in ("serious", "critical")] == []
                browser.screenshot(path=tmp_path / f"{name}-{scheme}-{path[1:].partition('?')[0].replace('/', '-')}.png")

    browser.set_viewport_size(DESK)
    browser.goto(f"{anew.airflow.url}/plugin/conversions")
    page = browser.frame_locator("iframe")
    page.get_by_text("Rehearsal: nothing is sent to Webflow.").wait_for()
    page.get_by_text("would be sent, and nothing was sent.").first.wait_for()
    page.locator("[data-rehearsed=offline_sales] summary").click()
    assert '"eventName": "offline-purchase"' in page.locator("[data-rehearsed=offline_sales] pre").inner_text()
    assert page.locator("[data-step=ready]").count() == 3
    assert page.get_by_role("button", name="Rehearse now").count() == 1

    # The band follows the file, without a reload by hand.
    configuration.write_text(SAMPLE)
    page.get_by_text("The last run was a rehearsal: it sent nothing.").wait_for(timeout=60_000)
