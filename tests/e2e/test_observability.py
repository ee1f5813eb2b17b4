"""A night through the scheduler, watched by a collector: what arrives over OpenTelemetry and OpenLineage with the documents' settings."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from demo.airflow_stack import REPOSITORY
from demo.stage import CUSTOMER_ID, DAG_ID, LEDGER, Stage
from demo.warehouse import DATABASE
from tests.collector import METRICS, Collector
from tests.e2e.test_notices import wait_until
from tests.unit.test_documents import blocks, rows
from webflow_conversions.pipeline.causes import Level
from webflow_conversions.pipeline.metrics import NAMES, PREFIX

pytestmark = pytest.mark.airflow

PAGES = {name: REPOSITORY / "docs" / f"{name}.md" for name in ("metrics", "lineage")}
OF_AIRFLOW = "airflow."
"""Airflow's prefix of all metrics."""
TASKS = ("plan", "extract[0]", "extract[1]", "identify", "push[0]", "push[1]", "reconcile")
SPANS = {f"dag_run.{DAG_ID}", *(f"{kind}.{task}" for task in TASKS for kind in ("task_run", "worker"))}


def documented(collector: Collector) -> dict[str, str]:
    """The variables that both pages export, with the addresses of this collector."""
    exported = dict(
        word.split("=", 1)
        for page in PAGES.values()
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("export ")
        for word in shlex.split(line)[1:]
    )
    assert len(exported) == 9
    return {name: re.sub(r"http://[\w.:]+", collector.url, value) for name, value in exported.items()}


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A night and what the collector got of it."""

    stage: Stage
    collector: Collector
    run_id: str
    state: str

    def complete(self, task: str) -> list[dict[str, Any]]:
        """The events of the ends of a task."""
        name = f"{DAG_ID}.{task}"
        return [event for event in self.collector.events if (event["job"]["name"], event["eventType"]) == (name, "COMPLETE")]

    @property
    def server(self) -> str:
        """The namespace of the warehouse and the ledger."""
        return f"postgres://127.0.0.1:{self.stage.postgres.port}"

    def by_source(self, select: str) -> dict[tuple[tuple[str, str], ...], Any]:
        """A figure of the ledger by source, as a metric has it."""
        found = self.stage.ledger(f"SELECT source, {select} AS figure FROM webflow.conversions GROUP BY source")
        return {(("source", row.source),): row.figure for row in found}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Collector() as collector, Stage(tmp_path_factory.mktemp("watched"), environment=documented(collector)) as stage:
        stage.load_warehouse(datetime.now(UTC), sales=300, deals=100)
        stage.airflow.unpause(DAG_ID)
        run_id = stage.airflow.wait_for_first_run(DAG_ID)
        state = stage.airflow.wait_for_run(DAG_ID, run_id)
        done = (DAG_ID, "COMPLETE")
        wait_until(lambda: {span.name for span in collector.spans} >= SPANS, "the spans of the run")
        wait_until(
            lambda: done in {(event["job"]["name"], event["eventType"]) for event in collector.events}, "the run's last event"
        )
        wait_until(lambda: bool(collector.last(f"{OF_AIRFLOW}{PREFIX}.seconds_to_import")), "the metrics of the run")
        yield Watched(stage=stage, collector=collector, run_id=run_id, state=state)


def test_a_watched_night_is_a_good_night(watched: Watched) -> None:
    assert watched.state == "success", watched.stage.airflow.failures(DAG_ID, watched.run_id)
    assert len(watched.stage.simulator.events()) == sum(watched.by_source("count(*) FILTER (WHERE state = 'accepted')").values())


def test_every_metric_arrives_once_as_a_gauge_with_the_attributes_of_the_page(watched: Watched) -> None:
    ours = [point for point in watched.collector.points if PREFIX in point.name]
    tags = {
        cells[0].strip("`").removeprefix(f"{PREFIX}."): set(re.findall(r"`(\w+)`", cells[1]))
        for cells in rows(PAGES["metrics"])
        if cells[0].startswith(f"`{PREFIX}.")
    }
    assert tags.keys() == NAMES.keys()
    assert {point.name.removeprefix(f"{OF_AIRFLOW}{PREFIX}."): set(point.attributes) for point in ours} == tags
    assert {(point.kind, point.service) for point in ours} == {("gauge", "airflow")}
    assert all(set(point.attributes) == tags[point.name.removeprefix(f"{OF_AIRFLOW}{PREFIX}.")] for point in ours)
    assert len({(point.name, tuple(sorted(point.attributes.items()))) for point in ours}) == len(ours)


def test_the_metrics_say_what_the_ledger_says(watched: Watched) -> None:
    def metric(name: str) -> dict[tuple[tuple[str, Any], ...], float]:
        return watched.collector.last(f"{OF_AIRFLOW}{PREFIX}.{name}")

    assert metric("accepted") == watched.by_source("count(*) FILTER (WHERE state = 'accepted')")
    assert metric("accepted_value") == {
        source: pytest.approx(float(value))
        for source, value in watched.by_source("coalesce(sum(value) FILTER (WHERE state = 'accepted'), 0)").items()
    }
    assert metric("held") == watched.by_source("count(*) FILTER (WHERE state = 'held')")
    assert metric("read") == {
        (("source", row.source),): row.read_rows for row in watched.stage.ledger("SELECT * FROM webflow.report_run_sources")
    }
    rejected = (
        "SELECT source, reason, count(*) AS figure FROM webflow.conversions WHERE state = 'rejected' GROUP BY source, reason"
    )
    assert {place: value for place, value in metric("rejected").items() if value} == {
        (("reason", row.reason), ("source", row.source)): row.figure for row in watched.stage.ledger(rejected)
    }
    assert set(metric("level").values()) <= {list(Level).index(level) for level in Level if level.is_green}
    for name in ("ready", "would_send", "in_doubt", "sent_again"):
        assert metric(name) == dict.fromkeys(metric("accepted"), 0)
    (seconds,) = metric("seconds_to_import").values()
    assert 0 < seconds <= 24 * 60 * 60
    speeds = metric("events_per_second")
    assert speeds.keys() == {(("destination", "webflow_default"), ("worker", worker)) for worker in "01"}
    assert max(speeds.values()) > 0


def test_a_run_is_one_trace_with_spans_of_each_task(watched: Watched) -> None:
    of_run = [span for span in watched.collector.spans if span.attributes.get("airflow.dag_run.run_id") == watched.run_id]
    assert sorted(span.name for span in of_run) == sorted(SPANS)
    assert len({span.trace for span in of_run}) == 1
    assert not any(span.is_error for span in of_run)
    assert {span.attributes["airflow.dag_id"] for span in of_run} == {DAG_ID}


def test_lineage_leads_from_the_tables_of_each_source_over_the_ledger_to_the_site(watched: Watched) -> None:
    ledger = (watched.server, f"{LEDGER}.webflow.conversions")

    def places(datasets: list[dict[str, Any]]) -> set[tuple[str, str]]:
        return {(dataset["namespace"], dataset["name"]) for dataset in datasets}

    def tables(*names: str) -> set[tuple[str, str]]:
        return {(watched.server, f"{DATABASE}.public.{name}") for name in names}

    extracts = watched.complete("extract")
    read = [places(event["inputs"]) for event in extracts]
    assert sorted(read, key=len) == [tables("crm_deals", "site_users"), tables("shop_sales", "shops", "site_users")]
    assert [places(event["outputs"]) for event in extracts] == [{ledger}] * 2
    (identify,) = watched.complete("identify")
    assert (places(identify["inputs"]), places(identify["outputs"])) == ({ledger, *tables("site_users")}, {ledger})
    pushes = watched.complete("push")
    site = (watched.stage.simulator.url.replace("http://", "webflow://"), CUSTOMER_ID)
    assert [(places(event["inputs"]), places(event["outputs"])) for event in pushes] == [({ledger}, {site})] * 2
    accepted = [event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] for event in pushes]
    assert sum(accepted) == len(watched.stage.simulator.events()) > 0
    for event in (*extracts, identify, *pushes):
        assert "extractionError" not in event["run"]["facets"]
        assert event["job"]["namespace"] == "nightly"


def test_the_value_of_a_conversion_comes_from_the_amount_of_a_sale_or_a_deal(watched: Watched) -> None:
    origins = {
        (origin["name"], origin["field"])
        for event in watched.complete("extract")
        for origin in event["outputs"][0]["facets"]["columnLineage"]["fields"]["value"]["inputFields"]
    }
    assert origins == {(f"{DATABASE}.public.shop_sales", "amount"), (f"{DATABASE}.public.crm_deals", "amount")}


def test_no_person_no_value_of_a_row_and_no_token_is_in_what_leaves(watched: Watched) -> None:
    told = json.dumps([watched.collector.events, watched.collector.spans, watched.collector.points])
    secrets = [watched.stage.simulator_token, watched.stage.data_token]
    for row in watched.stage.ledger(
        "SELECT user_id, identity_key, conversion_id FROM webflow.conversions WHERE state = 'accepted'"
    ):
        secrets += [row.user_id, row.identity_key, row.conversion_id]
    assert len(secrets) > 100
    words = set(re.findall(r"[\w-]+", told))
    assert [secret for secret in secrets if secret in words] == []


def test_the_collector_refuses_what_it_does_not_know(watched: Watched) -> None:
    """So that nothing is taken for arrived that was sent to another path."""
    with pytest.raises(KeyError):
        watched.collector.take("/v1/logs", b"")
    watched.collector.take(METRICS, b"")
