"""What plan refuses of the Airflow around it: another release, a missing pool, another deployment's ledger."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.night import Night
from webflow_conversions import __version__
from webflow_conversions.errors import Unusable
from webflow_conversions.hooks.scheduler import check
from webflow_conversions.ledger.deployment import belong_to
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.run import Run

POOLS = ["default_pool", "webflow"]


def test_a_worker_with_the_scheduler_s_release_and_pools_is_fine() -> None:
    check({"package": __version__, "pools": POOLS}, {"webflow", "default_pool"})


@pytest.mark.parametrize("package", ["0.0.9", "99.0.0"])
def test_a_scheduler_of_another_release_is_one_sentence(package: str) -> None:
    with pytest.raises(
        Unusable,
        match=rf"^This worker has webflow_conversions {__version__}, and the scheduler {package}: install the same release",
    ):
        check({"package": package, "pools": POOLS}, {"webflow"})


def test_a_missing_pool_is_one_sentence_with_how_to_create_it() -> None:
    with pytest.raises(
        Unusable, match=r"^There is no pool webflow, .* create it under Admin > Pools, or with: airflow pools set webflow 4 "
    ):
        check({"package": __version__, "pools": ["default_pool"]}, {"webflow", "default_pool"})


@pytest.mark.parametrize("change", [{"package": "0.0.9"}, {"package": None}])
def test_a_run_that_another_release_planned_is_one_sentence_for_every_later_task(night: Night, change: dict[str, Any]) -> None:
    document = night.begin().to_json()
    assert Run.from_json(document).run_id == "run"
    with pytest.raises(
        Unusable,
        match=rf"^This worker has webflow_conversions {__version__}, and the run was planned by .*clear the run from plan on\.$",
    ):
        Run.from_json(document | change)


def test_a_document_of_another_release_is_not_looked_into() -> None:
    with pytest.raises(Unusable, match=r"planned by 0\.0\.1"):
        Run.from_json({"package": "0.0.1", "what": "nobody knows"})


def test_a_ledger_belongs_to_the_first_deployment_that_plans_on_it(night: Night) -> None:
    mine = belong_to(night.session, None)
    assert belong_to(night.session, mine) == mine
    with pytest.raises(
        Unusable,
        match=rf"^The ledger belongs to another Airflow deployment, since \d{{4}}-\d\d-\d\d: .* set its Airflow Variable webflow_deployment to {mine}\.$",
    ):
        belong_to(night.session, "another")
    with pytest.raises(Unusable, match="belongs to another"):
        belong_to(night.session, None)
    assert night.sql("SELECT id FROM webflow.deployment") == [(mine,)]


def test_a_deployment_that_has_an_id_keeps_it_on_a_new_ledger(night: Night) -> None:
    assert belong_to(night.session, "mine since long ago") == "mine since long ago"


def test_of_two_deployments_that_come_at_once_one_gets_the_ledger(night: Night, night_database: Callable[[], Any]) -> None:
    def plan(name: str) -> str | None:
        session = Session(night_database)
        try:
            return belong_to(session, name)
        except Unusable:
            return None
        finally:
            session.close()

    with ThreadPoolExecutor(8) as pool:
        settled = [name for name in pool.map(plan, [f"deployment {number}" for number in range(8)]) if name]
    assert len(settled) == 1
