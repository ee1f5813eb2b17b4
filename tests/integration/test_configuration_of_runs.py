"""Tasks, notices and page go by one configuration, which each run's record names; what Airflow lacks of the package is told."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from tests.integration.test_notices import DUE, RUN_AFTER, TOLD, Variables, ended, set_clock, variables
from tests.surroundings import CONFIGURATION, Surroundings
from webflow_conversions import __version__
from webflow_conversions.configuration import ConfigurationFile
from webflow_conversions.hooks.installation import missing_here, missing_in_run
from webflow_conversions.operators import notices
from webflow_conversions.operators.extract import ExtractConversionsOperator
from webflow_conversions.operators.plan import PlanConversionsOperator
from webflow_conversions.ui.rehearsal import asked_for

__all__ = ["variables"]

REHEARSE = CONFIGURATION + "delivery: {mode: rehearse}\n"


def findings(around: Surroundings) -> list[tuple[str, str]]:
    ((hints,),) = around.sql("SELECT hints FROM webflow.runs")
    return sorted((key.split(" ")[0], sentence) for key, sentence in hints.items())


@pytest.fixture
def bundle(around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with Dag and configuration side by side, and no name of a configuration in the environment."""
    monkeypatch.delenv("WEBFLOW_CONVERSIONS_CONFIG")
    folder = tmp_path / "bundles" / "shop"
    for name in ("dags", "include/sql"):
        (folder / name).mkdir(parents=True)
    (folder / "dags" / "dag.py").write_text("")
    for query in (around.folder / "sql").iterdir():
        (folder / "include" / "sql" / query.name).write_text(query.read_text())
    (folder / "include" / "conversions.yaml").write_text(CONFIGURATION)
    return folder


def dag_of(bundle: Path) -> DAG:
    dag = DAG("nightly", schedule=None)
    dag.fileloc = str(bundle / "dags" / "dag.py")
    return dag


def test_a_run_s_record_names_the_configuration_beside_its_dag(around: Surroundings, bundle: Path) -> None:
    with dag_of(bundle):
        PlanConversionsOperator(task_id="plan").execute(around.context())
        task = ExtractConversionsOperator(task_id="extract", source="sales", plan=around.xcoms["run"])
    task.execute(around.context())

    file = ConfigurationFile(bundle / "include" / "conversions.yaml")
    assert around.sql("SELECT config_path, config_digest FROM webflow.runs") == [(str(file.path), file.digest)]
    assert findings(around) == []


def test_a_folder_of_dags_that_nobody_may_write_to_is_left_as_it_was(around: Surroundings, bundle: Path) -> None:
    for path in [*bundle.rglob("*"), bundle]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(bundle.rglob("*"))
    try:
        with dag_of(bundle):
            PlanConversionsOperator(task_id="plan").execute(around.context())
        assert sorted(bundle.rglob("*")) == before
    finally:
        for path in [bundle, *bundle.rglob("*")]:
            path.chmod(0o755)


def test_a_worker_with_another_copy_of_a_query_is_told_in_the_run(around: Surroundings) -> None:
    around.plan()
    query = around.folder / "sql" / "sales.sql"
    query.write_text(query.read_text() + " -- of last week")
    around.extract()

    ((cause, sentence),) = findings(around)
    assert cause == "configuration_changed"
    ((digest,),) = around.sql("SELECT config_digest FROM webflow.runs")
    assert f"plan read {digest}" in sentence
    assert str(around.folder / "conversions.yaml") in sentence


def notice_to(file: Path, text: str) -> None:
    route = f"notices:\n  - {{notifier: tests.integration.test_notices.Teller, arguments: {{text: {text}}}}}\n"
    file.write_text(CONFIGURATION + route)


def test_the_notice_of_a_failure_goes_to_whom_the_configuration_beside_the_dag_names(bundle: Path, variables: Variables) -> None:
    notice_to(bundle / "include" / "conversions.yaml", "of the bundle")
    notices.notify_of_failure(ended(plan="failed") | {"dag": dag_of(bundle)})
    assert [text for text, _ in TOLD] == ["of the bundle"]


def test_a_notice_goes_by_the_file_that_the_tasks_of_the_dag_name(bundle: Path, tmp_path: Path, variables: Variables) -> None:
    notice_to(tmp_path / "named.yaml", "of the named file")
    with dag_of(bundle) as dag:
        PlanConversionsOperator(task_id="plan", config_path=str(tmp_path / "named.yaml"))
    notices.notify_of_failure(ended(plan="failed") | {"dag": dag})
    assert [text for text, _ in TOLD] == ["of the named file"]


def warn_of(run: dict[str, Any]) -> str:
    run = {"dag_id": "nightly", "dag_run_id": "scheduled__1", "run_type": "scheduled", "run_after": RUN_AFTER.isoformat()} | run
    return asyncio.run(
        notices.warn_at_deadline({"dag_run": run, "deadline": {"deadline_time": DUE.isoformat()}}, "22:00", "dag.py")
    )


def test_the_deadline_goes_by_the_bundle_of_its_run_though_the_triggerer_has_no_dag(
    around: Surroundings, bundle: Path, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice_to(bundle / "include" / "conversions.yaml", "of the bundle")
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    known = [{"name": "shop", "classpath": local, "kwargs": {"path": str(bundle)}}]
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(known))
    set_clock(monkeypatch, DUE + timedelta(seconds=3))
    around.disconnect("webflow_ledger")

    warn_of({"dag_versions": [{"bundle_name": "shop"}], "bundle_version": None})

    assert [text for text, _ in TOLD] == ["of the bundle"]


def test_a_bundle_that_a_triggerer_cannot_have_leaves_the_configuration_beside_the_dags_folder(
    around: Surroundings, bundle: Path, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice_to(bundle / "include" / "conversions.yaml", "beside the Dags folder")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(bundle / "dags"))
    set_clock(monkeypatch, DUE + timedelta(seconds=3))
    around.disconnect("webflow_ledger")

    warn_of({"dag_versions": [{"bundle_name": "nowhere"}], "bundle_version": "1f3a"})

    assert [text for text, _ in TOLD] == ["beside the Dags folder"]


def test_the_page_asks_the_file_that_the_last_run_was_planned_with(around: Surroundings, bundle: Path) -> None:
    (bundle / "include" / "conversions.yaml").write_text(REHEARSE)
    assert asked_for(str(bundle / "include" / "conversions.yaml")) is True


def test_the_page_does_not_take_another_file_for_one_that_its_machine_has_not(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle / "include" / "conversions.yaml").write_text(REHEARSE)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(bundle / "dags"))
    assert asked_for(None) is True
    assert asked_for("/on/the/worker/alone/conversions.yaml") is None


STARTED = datetime(2026, 11, 23, 22, 0, 1, tzinfo=UTC)
TOLD_BY = {"package": __version__, "at": (STARTED + timedelta(milliseconds=4)).isoformat()}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (TOLD_BY, None),
        (None, "has not loaded the plugin webflow"),
        (TOLD_BY | {"at": (STARTED - timedelta(days=1)).isoformat()}, "has not loaded the plugin webflow"),
    ],
)
def test_a_run_knows_whether_the_scheduler_has_the_plugin(told: Any, words: str | None) -> None:
    found = missing_in_run(told, STARTED)
    assert (found is None) if words is None else (words in (found or ""))


def test_a_package_that_is_only_on_the_path_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webflow_conversions.hooks.installation.entry_points", lambda **_: ())
    assert "does not know the connection types webflow and webflow_data" in (missing_in_run(TOLD_BY, STARTED) or "")


def test_a_run_without_the_plugin_is_green_and_says_so(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_VAR_WEBFLOW_SCHEDULER")
    around.plan()
    ((cause, sentence),) = findings(around)
    assert cause == "not_installed"
    assert sentence.startswith("the scheduler has not loaded the plugin webflow: there is no page Webflow")


def test_the_command_finds_the_plugin_where_airflow_loads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_here() is None
    monkeypatch.setattr("airflow.plugins_manager.get_plugin_info", lambda _: [{"name": "another"}])
    assert "Airflow has not loaded the plugin webflow" in (missing_here() or "")
