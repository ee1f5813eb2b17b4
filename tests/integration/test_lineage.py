"""What the operators tell Airflow's OpenLineage provider, asked as the provider asks: names, columns, and what happens if that fails."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.openlineage.extractors import OperatorLineage
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.sqlparser import SQLParser, get_openlineage_facets_with_sql
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator, TaskInstanceState

from tests.night import CUSTOMER_ID
from tests.surroundings import CONFIGURATION, SALES, Surroundings
from webflow_conversions.operators.extract import ExtractConversionsOperator
from webflow_conversions.operators.identify import IdentifyConversionsOperator

DRY = {"dry_run": True}


def asked(task: BaseOperator, state: TaskInstanceState = TaskInstanceState.SUCCESS) -> OperatorLineage[Any, Any]:
    """What the provider makes of a task that has ended."""
    found = ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id="manual__1"), task=task, task_instance_state=state, task_instance=SimpleNamespace()
    )
    assert isinstance(found, OperatorLineage)
    return found


def extract(around: Surroundings, **changes: Any) -> ExtractConversionsOperator:
    return ExtractConversionsOperator(task_id="extract", source="sales", plan={**around.xcoms["run"], **changes})


def identify(around: Surroundings, **changes: Any) -> IdentifyConversionsOperator:
    return IdentifyConversionsOperator(task_id="identify", plan={**around.xcoms["run"], **changes})


def names(datasets: Any) -> list[str]:
    return [dataset.name.partition(".")[2] for dataset in datasets]


@pytest.fixture
def planned(around: Surroundings) -> Surroundings:
    around.plan()
    return around


def test_an_extraction_reads_its_source_and_the_known_users_and_writes_the_ledger(planned: Surroundings) -> None:
    found = asked(extract(planned))
    assert names(found.inputs) == ["public.people", "public.sales"]
    assert names(found.outputs) == ["webflow.conversions"]
    (namespace,) = {dataset.namespace for dataset in (*found.inputs, *found.outputs)}
    assert namespace == f"postgres://127.0.0.1:{planned._server['port']}"
    assert found.inputs[0].name.partition(".")[0] == planned._server["schema"]
    assert not found.run_facets


def test_names_are_those_that_airflow_s_own_sql_operators_give(planned: Surroundings) -> None:
    hook = PostgresHook(postgres_conn_id="warehouse")
    theirs = get_openlineage_facets_with_sql(hook, "SELECT * FROM sales, public.people", "warehouse", None, use_connection=False)
    assert theirs is not None
    ours = asked(extract(planned))
    assert {(one.namespace, one.name) for one in ours.inputs} == {(one.namespace, one.name) for one in theirs.inputs}
    assert ours.inputs[0].namespace == SQLParser.create_namespace(
        hook.get_openlineage_database_info(hook.get_connection("warehouse"))
    )


def test_a_name_without_a_schema_is_of_the_schema_that_the_connection_looks_into(planned: Surroundings) -> None:
    planned.sql("CREATE SCHEMA shop; CREATE TABLE shop.sales (LIKE sales)")
    planned.connect("warehouse", **planned._server, extra={"options": "-c search_path=shop"})
    (planned.folder / "sql" / "people.sql").write_text("SELECT * FROM public.people")
    assert names(asked(extract(planned)).inputs) == ["public.people", "shop.sales"]


def test_the_ledger_s_columns_come_from_the_columns_of_the_queries(planned: Surroundings) -> None:
    (ledger,) = asked(extract(planned)).outputs
    fields = ledger.facets["columnLineage"].fields
    assert {
        column: [(one.name.partition(".")[2], one.field) for one in field.inputFields] for column, field in fields.items()
    } == {
        "conversion_id": [("public.sales", "conversion_id")],
        "action_timestamp_ms": [("public.sales", "occurred_at")],
        "identity_key": [("public.people", "identity_key"), ("public.sales", "identity_key")],
        "user_domain": [("public.people", "user_domain")],
        "user_id": [("public.people", "user_id")],
    }
    in_ledger = {
        name for (name,) in planned.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = 'webflow'")
    }
    from webflow_conversions.operators.lineage import LEDGER_COLUMNS

    assert set(LEDGER_COLUMNS.values()) <= in_ledger


def test_identify_reads_visits_too_and_the_ledger_on_both_sides(planned: Surroundings) -> None:
    planned.configure_visits()
    (planned.folder / "sql" / "until.sql").write_text("SELECT max(at) AS complete_until FROM loads")
    found = asked(identify(planned))
    assert names(found.inputs) == ["public.loads", "public.people", "public.visits", "webflow.conversions"]
    assert names(found.outputs) == ["webflow.conversions"]


def test_a_push_writes_to_the_site_what_it_accepted(planned: Surroundings) -> None:
    planned.extract()
    first, second = (planned.push(work) for work in planned.identify())
    for task in (first, second):
        task.execute(planned.context())
    accepted = []
    for task in (first, second):
        found = asked(task)
        assert names(found.inputs) == ["webflow.conversions"]
        (site,) = found.outputs
        assert (site.namespace, site.name) == (planned.simulator.url.replace("http://", "webflow://"), CUSTOMER_ID)
        accepted.append(site.outputFacets["outputStatistics"].rowCount)
    assert sum(accepted) == 1


def test_a_dry_run_and_a_rehearsal_write_nothing(planned: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    assert names(asked(extract(planned, **DRY)).inputs) == ["public.people", "public.sales"]
    assert asked(extract(planned, **DRY)).outputs == []
    assert asked(identify(planned, **DRY)) == OperatorLineage()
    planned.configure(CONFIGURATION + "delivery: {mode: rehearse}\n")
    planned.extract()
    task = planned.push(planned.identify()[0])
    task.execute(planned.context())
    caplog.clear()
    assert asked(task) == OperatorLineage()
    assert caplog.records == []


def test_a_query_that_is_not_understood_is_told_and_costs_the_others_nothing(planned: Surroundings) -> None:
    (planned.folder / "sql" / "sales.sql").write_text(f"{SALES} AND secret ~~~~ !")
    found = asked(extract(planned))
    assert (names(found.inputs), names(found.outputs)) == (["public.people"], ["webflow.conversions"])
    told = found.run_facets["extractionError"]
    assert (told.totalTasks, told.failedTasks) == (2, 1)
    assert [(error.task, error.errorMessage) for error in told.errors] == [("sales.sql", "It is not understood in line 1")]


def test_without_sqlglot_the_ledger_is_told_all_the_same(planned: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "webflow_conversions.warehouse.tables", raising=False)
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    found = asked(extract(planned))
    assert (names(found.inputs), names(found.outputs)) == ([], ["webflow.conversions"])
    assert {error.errorMessage for error in found.run_facets["extractionError"].errors} == {
        "sqlglot is not installed: pip install 'webflow-offsite-conversions[lineage]'"
    }


def test_a_warehouse_whose_provider_has_no_names_is_told(planned: Surroundings) -> None:
    planned.connect("warehouse", conn_type="sqlite", host=str(planned.folder / "warehouse.db"))
    found = asked(extract(planned))
    assert names(found.inputs) == []
    assert {error.errorMessage for error in found.run_facets["extractionError"].errors} == {
        "The provider of connection type sqlite has no names for OpenLineage"
    }


@pytest.mark.parametrize("state", [TaskInstanceState.SUCCESS, TaskInstanceState.FAILED])
def test_whatever_goes_wrong_with_lineage_ends_in_the_provider(planned: Surroundings, state: TaskInstanceState) -> None:
    planned.disconnect("webflow_ledger")
    assert asked(extract(planned), state) == OperatorLineage()
    planned.configure("nonsense")
    for task in (extract(planned), identify(planned), planned.push({"destination": "gone", "sources": [], "worker": 0})):
        assert asked(task, state) == OperatorLineage()
