"""Takes the pictures of the on-call's first minute: the page after nights that went wrong in six ways, on a real Airflow:
``make screenshots``, or ``python -m demo.screenshots_first_minute``."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from demo.airflow_stack import REPOSITORY
from demo.browser import logged_in
from demo.screenshots import take
from demo.screenshots_page import PHONE, beside
from demo.stage import DAG_ID, Stage

DESK = {"width": 1200, "height": 820}
ROLE, PASSWORD, WRONG = "reporting", "the-right-one", "the-wrong-one"
AMOUNTS = {"sales": 400, "deals": 150}


def refuses_with(status: int, **more: float) -> Callable[[Stage], None]:
    """A night in which the API answers with a status."""

    def prepare(stage: Stage) -> None:
        stage.simulator.faults([{"action": "status", "status": status, **more}])

    return prepare


def wrong_token(stage: Stage) -> None:
    """A night in which the API refuses the token with 401."""
    stage.set_connection("webflow_default", password=WRONG)


def wrong_warehouse_password(stage: Stage) -> None:
    """A night in which the warehouse refuses the password."""
    stage.set_connection("warehouse", login=ROLE, password=WRONG)


def all_held(stage: Stage) -> None:
    """A night in which no user is known."""
    stage.warehouse("DELETE FROM site_users")


def nothing_arrived(stage: Stage) -> None:
    """A night in which the sources return no rows."""
    stage.load_warehouse(datetime.now(UTC), sales=0, deals=0)


NIGHTS: dict[str, Callable[[Stage], None]] = {
    "503": refuses_with(503),
    "401": wrong_token,
    "422": refuses_with(422, probability=0.3),
    "password": wrong_warehouse_password,
    "held": all_held,
    "nothing": nothing_arrived,
}


def main(*names: str) -> None:
    """Play the nights of these names, all by default, and look at each."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="webflow-screenshots-")))
        environment = {"WEBFLOW_CONVERSIONS_CONFIG": str(_configuration(folder / "include"))}
        stage = opened.enter_context(Stage(folder, environment=environment, say=print))
        _want_passwords(stage)
        stage.load_warehouse(datetime.now(UTC), sales=0, deals=0)
        stage.airflow.unpause(DAG_ID)
        stage.airflow.wait_for_run(DAG_ID, stage.airflow.wait_for_first_run(DAG_ID))
        light = opened.enter_context(logged_in(stage.airflow, **DESK))
        dark, phone = beside(light, DESK, "dark"), beside(light, PHONE, "light")
        for name in names or NIGHTS:
            _play(stage, NIGHTS[name])
            for page, suffix in ((light, ""), (dark, "-dark"), (phone, "-phone")):
                _look(page, stage, f"first-minute-{name}{suffix}")


def _configuration(folder: Path) -> Path:
    """The sample's configuration with euros, and without the patience of a real night."""
    folder.mkdir()
    (folder / "sql").symlink_to(REPOSITORY / "include" / "sql")
    text = (REPOSITORY / "include" / "conversions.yaml").read_text(encoding="utf-8")
    file = folder / "conversions.yaml"
    file.write_text(
        text.replace("in_doubt: resend", "in_doubt: resend, patience_seconds: 5") + "\ncurrency: EUR\n", encoding="utf-8"
    )
    return file


def _want_passwords(stage: Stage) -> None:
    """Let the server ask one role for its password; it trusts the others."""
    stage.ledger(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    ((path,),) = stage.ledger("SHOW hba_file")
    file = Path(path)
    file.write_text(f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    stage.ledger("SELECT pg_reload_conf()")


def _play(stage: Stage, prepare: Callable[[Stage], None]) -> None:
    """A night on an empty ledger."""
    stage.ledger("DROP SCHEMA IF EXISTS webflow CASCADE")
    stage.simulator.clear()
    stage.simulator.faults([])
    for name in stage.connections():
        stage.set_connection(name)
    stage.load_warehouse(datetime.now(UTC), **AMOUNTS)
    prepare(stage)
    stage.airflow.wait_for_run(DAG_ID, stage.airflow.trigger(DAG_ID))


def _look(page: Page, stage: Stage, name: str) -> None:
    page.goto(f"{stage.airflow.url}/webflow/")
    page.locator("h1").wait_for()
    take(page, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
