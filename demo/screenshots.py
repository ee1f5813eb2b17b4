"""Takes the documentation's pictures of a real Airflow after real runs: ``make screenshots``."""

import re
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Locator, Page

from demo.airflow_stack import REPOSITORY
from demo.browser import logged_in
from demo.stage import CUSTOMER_ID, DAG_ID, Stage

FOLDER = REPOSITORY / "docs" / "images"


def main() -> None:
    """Run a night, and take every picture."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="webflow-screenshots-")))
        stage = opened.enter_context(Stage(folder, say=print))
        print("running the Dag on schedule and by hand")
        run_id = _run(stage)
        page = opened.enter_context(logged_in(stage.airflow))
        _show_runs(page, stage.airflow.url, run_id)
        _show_connection(page, stage.airflow.url)
        _show_test(page, stage)
        _show_trigger_form(page, stage.airflow.url)


def _run(stage: Stage) -> str:
    """Run the Dag on schedule and by hand.

    :returns: the ID of the run by hand.
    """
    airflow = stage.airflow
    stage.load_warehouse(datetime.now(UTC))
    airflow.unpause(DAG_ID)
    airflow.wait_for_first_run(DAG_ID)
    by_hand = airflow.trigger(DAG_ID)
    for run in airflow.runs(DAG_ID):
        if airflow.wait_for_run(DAG_ID, run["dag_run_id"]) != "success":
            raise RuntimeError(f"{run['dag_run_id']} failed: {airflow.failures(DAG_ID, run['dag_run_id'])}")
    return by_hand


def _show_runs(page: Page, url: str, run_id: str) -> None:
    page.goto(f"{url}/dags/{DAG_ID}/runs/{run_id}")
    page.get_by_role("button", name="Show Grid").click()
    page.get_by_text("7 Task Instances").wait_for()
    take(page, "grid")
    page.get_by_role("button", name="Show Graph").click()
    page.locator(".react-flow__node", has_text="reconcile").wait_for()
    take(page, "graph")


def _show_connection(page: Page, url: str) -> None:
    page.goto(f"{url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    page.get_by_role("dialog").get_by_role("combobox").fill("Webflow")
    page.keyboard.press("Enter")
    page.get_by_text("Off-site conversion token").wait_for()
    take(page, "connection")


def _show_test(page: Page, stage: Stage) -> None:
    stage.set_connection("webflow_default", login=stage.simulator_token, password=CUSTOMER_ID)
    page.goto(f"{stage.airflow.url}/connections")
    page.get_by_role("row").filter(has_text="webflow_default").get_by_role("button", name="Test Connection").click()
    page.get_by_text("look swapped").hover()
    take(page, "connection-test")
    stage.set_connection("webflow_default")


def _show_trigger_form(page: Page, url: str) -> None:
    page.goto(f"{url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger Dag").click()
    page.get_by_role("button", name=re.compile("Run Parameters")).wait_for()
    date = page.locator("input[type=date]")
    date.fill(f"{datetime.now(UTC):%Y-%m-%d}")
    date.evaluate("input => input.showPicker()")
    take(page, "trigger")


def take(shown: Page | Locator, name: str) -> None:
    """Save a picture of what the browser shows of a page, or of an element."""
    page = shown if isinstance(shown, Page) else shown.page
    page.wait_for_timeout(2_000)  # animations
    FOLDER.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=FOLDER / f"{name}.png")
    print(f"took {FOLDER / name}.png")


if __name__ == "__main__":
    main()
