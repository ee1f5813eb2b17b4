"""What can be said of deploy/helm-values.yaml without a cluster and without the chart."""

from typing import Any

import pytest
import yaml

from tests.production.compose import REPOSITORY

COMPONENTS = {"apiServer": "page", "scheduler": "worker", "dagProcessor": "worker", "triggerer": "worker", "workers": "worker"}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    text = (REPOSITORY / "deploy" / "helm-values.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_container_has_a_variable_twice(values: dict[str, Any], component: str) -> None:
    """The chart writes all three lists into the container, one after the other, and Helm 4 refuses a name that comes twice."""
    names = [
        *(variable["name"] for variable in values["env"]),
        *(secret["envName"] for secret in values.get("secret", ())),
        *(variable["name"] for variable in values[component].get("env", ())),
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("component", "key"), COMPONENTS.items())
def test_the_page_and_the_tasks_have_logins_of_their_own_in_the_ledger(values: dict[str, Any], component: str, key: str) -> None:
    (ledger,) = (variable for variable in values[component]["env"] if variable["name"] == "AIRFLOW_CONN_WEBFLOW_LEDGER")
    assert ledger["valueFrom"] == {"secretKeyRef": {"name": "webflow-ledger", "key": key}}


def test_a_stop_reaches_the_tasks_of_a_worker(values: dict[str, Any]) -> None:
    """The chart's own DUMB_INIT_SETSID is 0; the rest is the image's entry point."""
    assert values["workers"]["command"] == ["env", "DUMB_INIT_SETSID=1", "/usr/bin/dumb-init", "--", "/entrypoint"]
