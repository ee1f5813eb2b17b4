"""*Test* of both types of connections in a real browser, in a real Airflow, with the words that a person sees."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from demo.browser import logged_in, program
from demo.postgres import free_port
from demo.simulator.account import SITE_ID
from demo.stage import CUSTOMER_ID, Stage

pytestmark = [pytest.mark.airflow, pytest.mark.browser]

CALLS = "/api/v2/connections/test"


@pytest.fixture(scope="module")
def tab(stage: Stage) -> Iterator[Any]:
    """A tab of the admin."""
    if program() is None:
        pytest.skip("NO BROWSER IS INSTALLED, SO THE TEST OF CONNECTIONS WAS NOT TRIED IN ONE: apt-get install chromium")
    with logged_in(stage.airflow) as page:
        yield page


def press_test(tab: Any, stage: Stage, name: str) -> str:
    """Press *Test* beside a connection; what the browser shows then."""
    tab.goto(f"{stage.airflow.url}/connections")
    row = tab.get_by_role("row").filter(has=tab.get_by_role("cell", name=name, exact=True))
    with tab.expect_request(lambda request: CALLS in request.url) as asked:
        row.get_by_role("button", name="Test Connection").click()
    assert json.loads(asked.value.post_data)["port"] == 0
    toast = tab.locator("[data-scope=toast][data-part=root]").first
    toast.hover()  # it stays as long as the pointer is on it
    words = str(toast.inner_text())
    tab.mouse.move(0, 0)
    return words


def fill_in(tab: Any, stage: Stage, name: str, kind: str, fields: dict[str, str]) -> None:
    """Make a connection in Airflow's form."""
    tab.goto(f"{stage.airflow.url}/connections")
    tab.get_by_role("button", name="Add Connection").click()
    form = tab.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill(name)
    form.get_by_role("combobox").fill(kind)
    tab.keyboard.press("Enter")
    for field, value in fields.items():
        form.locator(f"[name={field}]").fill(value)
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="detached")


def test_a_connection_from_the_form_is_tested_in_words_without_sending_anything(stage: Stage, tab: Any) -> None:
    stage.simulator.clear()
    fill_in(
        tab,
        stage,
        "webflow_by_hand",
        "Webflow off-site conversions",
        {"host": stage.simulator.url, "login": CUSTOMER_ID, "password": stage.simulator_token},
    )
    words = press_test(tab, stage, "webflow_by_hand")
    assert words.startswith("Test Connection Successful\nThe token is not refused.")
    assert (stage.simulator.events(), stage.simulator_token in words) == ([], False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "of-another-account"}, r"Webflow refuses the token \(HTTP 401\)"),
        ({"login": "of-this-account", "password": CUSTOMER_ID}, r"look swapped"),
        ({"login": ""}, r"This connection has no customer ID"),
        ({"host": f"http://127.0.0.1:{free_port()}"}, r"does not answer: .*connect"),
    ],
    ids=["wrong", "swapped", "missing", "nobody there"],
)
def test_what_is_wrong_with_a_connection_is_read_in_the_browser(
    stage: Stage, tab: Any, changes: dict[str, str], words: str
) -> None:
    stage.set_connection("webflow_default", **changes)
    try:
        shown = press_test(tab, stage, "webflow_default")
    finally:
        stage.set_connection("webflow_default")
    assert re.match(rf"Test Connection Failed\n.*{words}", shown), shown


@pytest.fixture
def webflow_data(stage: Stage) -> Iterator[dict[str, Any]]:
    """A connection to the simulator's Data API."""
    connection = {
        "connection_id": "webflow_data",
        "conn_type": "webflow_data",
        "host": stage.simulator.url,
        "password": stage.data_token,
        "extra": json.dumps({"site_id": SITE_ID}),
    }
    stage.airflow.post("/connections", connection)
    yield connection
    stage.airflow.call("DELETE", "/connections/webflow_data")


def test_the_data_api_is_tested_in_words_too(stage: Stage, tab: Any, webflow_data: dict[str, Any]) -> None:
    assert "The site's goals can be read" in press_test(tab, stage, "webflow_data")
    for changes, words in (
        ({"password": "of-another-site"}, "Webflow does not know the API token of this connection (HTTP 401)"),
        ({"extra": "{}"}, "This connection has no site ID"),
        ({"host": f"http://127.0.0.1:{free_port()}"}, "does not answer"),
    ):
        stage.airflow.call("PATCH", "/connections/webflow_data", json={**webflow_data, **changes})
        assert words in press_test(tab, stage, "webflow_data")


def test_a_test_of_another_type_is_left_to_airflow(stage: Stage, tab: Any) -> None:
    stage.airflow.post("/connections", {"connection_id": "files", "conn_type": "fs", "extra": '{"path": "/"}'})
    try:
        assert press_test(tab, stage, "files").startswith("Test Connection Failed\nBad Request")
    finally:
        stage.airflow.call("DELETE", "/connections/files")
