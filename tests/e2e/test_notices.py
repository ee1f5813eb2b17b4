"""A night that breaks is told once, the deadline too, and the recovery: by a real Airflow to a mail server."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from demo.airflow_stack import REPOSITORY
from demo.stage import DAG_ID, Stage
from tests.mail import MailServer

pytestmark = pytest.mark.airflow

NOTICES = """
notices:
  - notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
    arguments: {from_email: airflow@example.com, to: oncall@example.com, subject: "{{ subject }}", html_content: "{{ html }}"}
"""


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def wait_until(found: Callable[[], bool], what: str, seconds: float = 120) -> None:
    give_up_at = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < give_up_at, f"waited {seconds} seconds in vain for {what}"
        time.sleep(0.2)


def away_from_midnight() -> datetime:
    """Now; but the times of day of this test must lie in one day."""
    while not "00:10" <= f"{datetime.now(UTC):%H:%M}" <= "23:50":
        time.sleep(5)
    return datetime.now(UTC)


def dag_of_this_hour(folder: Path, now: datetime) -> Path:
    """The project's Dag, with a run that was due some minutes ago, and a deadline that is just over."""
    text = (REPOSITORY / "dags" / f"{DAG_ID}.py").read_text()
    times = {
        r"^RUNS_AT = .*$": "RUNS_AT = ({}, {})".format(
            *(f"time({at:%-H}, {at:%-M})" for at in (now - timedelta(minutes=9), now - timedelta(minutes=5)))
        ),
        r"^DEADLINE = .*$": f"DEADLINE = time({now:%-H}, {now:%-M})",
    }
    for pattern, line in times.items():
        text, changed = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert changed == 1, pattern
    folder.mkdir()
    (folder / f"{DAG_ID}.py").write_text(text)
    return folder


def tracebacks(stage: Stage, run_id: str, task: str) -> list[list[dict[str, Any]]]:
    """The errors in the log of a task's first try, each with those behind it."""
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task}/logs/1"
    lines = stage.airflow.get(path, full_content=True)["content"]
    return [line["error_detail"] for line in lines if isinstance(line, dict) and line.get("error_detail")]


def deadlines(stage: Stage) -> list[tuple[str, datetime, bool]]:
    """All deadlines that Airflow has: of which run, when, and whether it was missed."""
    query = "SELECT r.run_id, d.deadline_time, d.missed FROM deadline d JOIN dag_run r ON r.id = d.dagrun_id ORDER BY r.id"
    with closing(stage.postgres.connect("airflow")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_a_night_that_breaks_is_told_and_so_is_its_recovery(tmp_path: Path, mail: MailServer) -> None:
    now = away_from_midnight()
    configuration = tmp_path / "include" / "conversions.yaml"
    (configuration.parent).mkdir()
    (configuration.parent / "sql").symlink_to(REPOSITORY / "include" / "sql")
    configuration.write_text((REPOSITORY / "include" / "conversions.yaml").read_text() + NOTICES)
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dag_of_this_hour(tmp_path / "dags", now)),
        "AIRFLOW_CONN_SMTP_DEFAULT": f"smtp://127.0.0.1:{mail.server_address[1]}?disable_ssl=true&disable_tls=true",
        "WEBFLOW_CONVERSIONS_CONFIG": str(configuration),
    }
    (tmp_path / "stage").mkdir()
    with Stage(tmp_path / "stage", environment=environment) as stage:
        stage.load_warehouse(now, sales=300, deals=100)
        token = {"conn_type": "webflow", "connection_id": "webflow_default"}
        stage.airflow.call(
            "PATCH", "/connections/webflow_default", params={"update_mask": "password"}, json={**token, "password": "revoked"}
        )
        stage.airflow.unpause(DAG_ID)

        wait_until(lambda: len(mail.mails) == 2, "the notices of the failure and of the deadline")
        (run,) = stage.airflow.runs(DAG_ID)
        assert run["state"] == "failed"
        assert sorted(mail.subjects()) == [
            "Webflow: An unknown number of conversions will miss tonight's import",
            f"Webflow: {run['dag_run_id']} failed",
        ]
        refusal = "Webflow refuses the token (HTTP 401): put a valid off-site conversion token"
        assert any(f"Plan: {refusal}" in text for text in mail.texts())
        assert any(f"/dags/{DAG_ID}/runs/{quote(run['dag_run_id'], safe='')}" in text for text in mail.texts())
        assert all("/webflow/" in text for text in mail.texts())
        assert run["note"].startswith(f"Why it failed: plan: {refusal}")
        (recorded,) = stage.ledger("SELECT window_end, failures FROM webflow.runs")
        assert recorded.window_end is None
        assert recorded.failures["plan"]["sentence"].startswith(refusal)
        assert [[one["exc_type"] for one in chain] for chain in tracebacks(stage, run["dag_run_id"], "plan")] == [["Stopped"]]

        # The same failure by hand: nobody is told.
        by_hand = stage.airflow.trigger(DAG_ID)
        assert stage.airflow.wait_for_run(DAG_ID, by_hand) == "failed"

        stage.airflow.call(
            "PATCH",
            "/connections/webflow_default",
            params={"update_mask": "password"},
            json={**token, "password": stage.simulator_token},
        )
        stage.airflow.post(f"/dags/{DAG_ID}/dagRuns/{run['dag_run_id']}/clear", {"dry_run": False, "only_failed": False})
        wait_until(lambda: len(mail.mails) == 3, "the notice of the recovery", 180)
        assert mail.subjects()[2] == f"Webflow: conversions go out again since {run['dag_run_id']}"
        wait_until(lambda: stage.airflow.get(f"/variables/{DAG_ID}.problems_told")["value"] == "{}", "the end of what was told")
        assert not stage.airflow.get(f"/dags/{DAG_ID}/dagRuns/{run['dag_run_id']}")["note"]
        assert deadlines(stage) == [(run["dag_run_id"], now.replace(second=0, microsecond=0), True)]
