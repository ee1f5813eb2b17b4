"""Dag, configuration and queries in a Git bundle, away from Airflow's Dags folder: tasks, notices and page go by one file."""

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from demo import sample_configuration
from demo.airflow_stack import REPOSITORY
from demo.sample_configuration import SAMPLE
from demo.stage import DAG_ID, Stage
from tests.e2e.test_notices import NOTICES, MailServer, away_from_midnight, dag_of_this_hour, mail, wait_until
from webflow_conversions.configuration import ConfigurationFile

pytestmark = pytest.mark.airflow

__all__ = ["mail"]


class Repository:
    """A Git repository with the folders ``dags`` and ``include`` side by side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "include" / "conversions.yaml"
        self._git("init", "--quiet", "--initial-branch", "main")

    def commit(self) -> str:
        """Commit all files; returns the version."""
        self._git("add", "--all")
        self._git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "a change")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout


def write(folder: Path, now: datetime) -> Repository:
    """The project's Dag, due some minutes ago, and the sample's configuration with notices."""
    folder.mkdir()
    repository = Repository(folder)
    dag_of_this_hour(folder / "dags", now)
    sql = sample_configuration.write(folder / "include", SAMPLE + NOTICES).parent / "sql"
    for link in [path for path in sql.rglob("*") if path.is_symlink()]:
        target = link.resolve()
        link.unlink()
        files = [target] if target.is_file() else sorted(target.rglob("*.sql"))
        for file in files:
            copy = link if target.is_file() else link / file.relative_to(target)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text())
    return repository


def page(stage: Stage) -> Any:
    """What the page shows."""
    token = stage.airflow.token(stage.airflow.username, stage.airflow.password)
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{stage.airflow.url}/webflow/api/overview", headers=headers, timeout=60)
    answer.raise_for_status()
    return answer.json()


def recorded(stage: Stage, run_id: str) -> tuple[str, str, bool]:
    (row,) = stage.ledger("SELECT config_path, config_digest, is_rehearsal FROM webflow.runs WHERE run_id = %s", run_id)
    return tuple(row)


def test_tasks_notices_and_page_go_by_the_configuration_of_the_run_s_commit(tmp_path: Path, mail: MailServer) -> None:
    now = away_from_midnight()
    repository = write(tmp_path / "repository", now)
    first, first_digest = repository.commit(), ConfigurationFile(repository.file).digest
    bundles = tmp_path / "bundles"
    bundle = {
        "name": "conversions",
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {"tracking_ref": "main", "repo_url": str(repository.folder), "refresh_interval": 2},
    }
    environment = {
        # Beside this folder lies another configuration, which is not to be read.
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(bundles),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW_CONN_SMTP_DEFAULT": f"smtp://127.0.0.1:{mail.server_address[1]}?disable_ssl=true&disable_tls=true",
    }
    (tmp_path / "stage").mkdir()
    with Stage(tmp_path / "stage", environment=environment) as stage:
        stage.load_warehouse(now, sales=300, deals=100)
        stage.set_connection("webflow_default", password="revoked")
        stage.airflow.unpause(DAG_ID)

        wait_until(lambda: len(mail.mails) == 2, "the notices of the failure and of the deadline")
        (run,) = stage.airflow.runs(DAG_ID)
        assert sorted(mail.subjects()) == [
            "Webflow: An unknown number of conversions will miss tonight's import",
            f"Webflow: {run['dag_run_id']} failed",
        ]

        stage.set_connection("webflow_default")
        stage.airflow.post(f"/dags/{DAG_ID}/dagRuns/{run['dag_run_id']}/clear", {"dry_run": False, "only_failed": False})
        wait_until(lambda: len(mail.mails) == 3, "the notice of the recovery", 180)
        at_first = str(bundles / "conversions" / "versions" / first / "include" / "conversions.yaml")
        assert recorded(stage, run["dag_run_id"]) == (at_first, first_digest, False)
        shown = page(stage)
        assert (shown["config_path"], shown["config_digest"], shown["is_rehearsal"]) == (at_first, first_digest, False)

        repository.file.write_text(repository.file.read_text().replace("delivery: {", "delivery: {mode: rehearse, "))
        second, second_digest = repository.commit(), ConfigurationFile(repository.file).digest
        wait_until(lambda: stage.airflow.get(f"/dags/{DAG_ID}")["bundle_version"] == second, "Airflow to fetch the second commit")
        by_hand = stage.airflow.trigger(DAG_ID)
        stage.airflow.wait_for_run(DAG_ID, by_hand)
        at_second = str(bundles / "conversions" / "versions" / second / "include" / "conversions.yaml")
        assert recorded(stage, by_hand) == (at_second, second_digest, True)
        assert first_digest != second_digest
        assert page(stage)["is_rehearsal"]
        hints = stage.ledger("SELECT hints FROM webflow.runs")
        assert not any(key.startswith(("configuration_changed", "not_installed")) for row in hints for key in row.hints)
