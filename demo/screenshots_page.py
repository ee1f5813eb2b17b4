"""Takes pictures of the conversions page, light, dark and on a phone, while a real Airflow sends a night's conversions, and of
what will count when it has ended: ``make screenshots``, or ``python -m demo.screenshots_page``."""

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page

from demo import sample_configuration
from demo.browser import logged_in
from demo.past_nights import write_nights
from demo.screenshots import take
from demo.stage import DAG_ID, LEDGER, Stage
from webflow_conversions.ledger.migrations import migrate
from webflow_conversions.ledger.session import Session

DESK, PHONE = {"width": 1400, "height": 1050}, {"width": 400, "height": 860}
REQUESTS_PER_SECOND = 12
"""Rate limit of the sending, low enough to take pictures meanwhile."""
FAULTS = (
    {"action": "status", "status": 422, "probability": 0.01},
    {"action": "drop_after", "probability": 0.004},
)


def main() -> None:
    """Write two weeks of past nights, run a night, and take pictures while it runs and when it has ended."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="webflow-screenshots-")))
        environment = {"WEBFLOW_CONVERSIONS_CONFIG": str(sample_configuration.write(folder / "include"))}
        stage = opened.enter_context(Stage(folder, environment=environment, say=print))
        print("writing two weeks of past nights")
        _prepare(stage)
        light = opened.enter_context(logged_in(stage.airflow, **DESK))
        dark, phone = beside(light, DESK, "dark"), beside(light, PHONE, "light")
        stage.airflow.unpause(DAG_ID)
        address = f"{stage.airflow.url}/plugin/conversions"
        for page in (light, dark):
            page.goto(address)
        for page in (light, dark):
            page.frame_locator("iframe").get_by_text("on their way: done at").first.wait_for()
        take(light, "page-light")
        take(dark, "page-dark")
        phone.goto(f"{stage.airflow.url}/webflow/")
        take(phone, "page-phone")
        _show_conversion(light, address, "page-conversion", "state=rejected&reason=refused_422")
        print("waiting for the end of the run")
        stage.airflow.wait_for_run(DAG_ID, stage.airflow.wait_for_first_run(DAG_ID))
        _show_conversion(light, address, "page-credited", "state=accepted&attribution=will_count")
        for page, suffix in ((light, ""), (dark, "-dark")):
            page.goto(f"{stage.airflow.url}/webflow/")
            take(page.locator("section.card", has=page.locator(".funnels")), f"page-funnel{suffix}")
            take(page.locator("section[aria-labelledby=activity]"), f"page-minutes{suffix}")


def _show_conversion(page: Page, address: str, name: str, selection: str) -> None:
    """Save a picture of the first conversion of a list."""
    page.goto(f"{address}/webflow/conversions?{selection}")
    page.frame_locator("iframe").locator("table.conversions th a").first.click()
    page.frame_locator("iframe").locator("ol.timeline").wait_for()
    take(page, name)


def _prepare(stage: Stage) -> None:
    """Fill the warehouse and the site, delete half of the CRM's known users, write past nights, and give the simulator faults."""
    now = datetime.now(UTC)
    stage.load_warehouse(now)
    stage.land_exports(stage.visit_site(now))
    stage.warehouse(
        "DELETE FROM site_users WHERE user_domain = 'salesforce' AND identified_at IS NOT NULL AND hashtext(user_id) % 2 = 0"
    )
    connect = partial(stage.postgres.connect, LEDGER)
    migrate(Session(connect))
    with closing(connect()) as connection:
        write_nights(connection, now)
    stage.set_connection("webflow_default", extra=f'{{"requests_per_second": {REQUESTS_PER_SECOND}}}')
    stage.simulator.faults(list(FAULTS))


def beside(page: Page, viewport: Any, scheme: Any) -> Page:
    """Open another tab with the same login."""
    browser = page.context.browser
    if browser is None:
        raise RuntimeError("the browser is gone")
    context = browser.new_context(
        viewport=viewport, color_scheme=scheme, storage_state=page.context.storage_state(), locale="en-GB", timezone_id="UTC"
    )
    context.set_default_timeout(120_000)
    return context.new_page()


if __name__ == "__main__":
    main()
