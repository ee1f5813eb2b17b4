"""A headless browser with a login to Airflow: playwright with the system's Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

from demo.airflow_stack import AirflowStack

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str | None:
    """Path of the system's Chromium or Chrome; None if neither is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def logged_in(airflow: AirflowStack, *, width: int = 1400, height: int = 900) -> Iterator[Page]:
    """Open Airflow's home page, logged in as its admin.

    :raises RuntimeError: no browser is installed.
    """
    path = program()
    if path is None:
        raise RuntimeError("There is no Chromium here: install it (on Debian: apt install chromium).")
    with sync_playwright() as playwright:
        # The sandbox needs namespaces, which root and containers lack.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme="light", locale="en-GB", timezone_id="UTC"
        )
        page.set_default_timeout(120_000)
        page.goto(airflow.url)
        page.get_by_label("Username").fill(airflow.username)
        page.get_by_label("Password", exact=True).fill(airflow.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/auth/" not in url)
        yield page
        browser.close()
