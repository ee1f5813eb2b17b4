"""A connection under Admin > Connections that another one of the same name hides: plan says so, and where conversions go."""

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from tests.night import CUSTOMER_ID, TOKEN
from tests.surroundings import Surroundings
from webflow_conversions import __version__
from webflow_conversions.errors import Stopped
from webflow_conversions.hooks.scheduler import fingerprint, hidden

TO_A_SIMULATOR = Connection(
    conn_id="webflow_default", conn_type="webflow", host="http://127.0.0.1:8090", login="123456789", password="try"
)


def tell(monkeypatch: pytest.MonkeyPatch, *connections: Connection) -> None:
    """What the scheduler tells of Airflow's database."""
    facts = {
        "package": __version__,
        "pools": ["default_pool"],
        "connections": {one.conn_id: fingerprint(one) for one in connections},
    }
    monkeypatch.setenv("AIRFLOW_VAR_WEBFLOW_SCHEDULER", json.dumps(facts))


def findings(around: Surroundings) -> list[tuple[str, str]]:
    return sorted(
        (key.split(" ")[0], sentence)
        for ((hints,),) in [around.sql("SELECT hints FROM webflow.runs")]
        for key, sentence in hints.items()
    )


def test_plan_says_that_the_environment_hides_what_was_made_in_airflow(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(monkeypatch, TO_A_SIMULATOR)

    around.plan()

    sentence = (
        "the connection under Admin > Connections is not used: webflow_default, since the environment variable "
        "AIRFLOW_CONN_WEBFLOW_DEFAULT comes first"
    )
    assert findings(around) == [("hidden_connection", sentence)]
    log = capsys.readouterr().out
    assert sentence in log
    assert f"conversions go to {around.simulator.url}/event for customer ID {CUSTOMER_ID} (connection webflow_default)" in log
    assert around.sql("SELECT addresses FROM webflow.runs") == [
        ({"webflow_default": {"url": f"{around.simulator.url}/event", "customer_id": CUSTOMER_ID}},)
    ]


def test_it_is_said_before_a_token_is_refused_that_nobody_meant(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(monkeypatch, TO_A_SIMULATOR)
    around.connect("webflow_default", conn_type="webflow", host=around.simulator.url, login=CUSTOMER_ID, password="old")

    with pytest.raises(Stopped):
        around.plan()

    assert "AIRFLOW_CONN_WEBFLOW_DEFAULT comes first" in capsys.readouterr().out


@pytest.mark.parametrize("others", [[], [Connection(conn_id="of_another_dag", conn_type="http", host="example.com")]])
def test_nothing_is_said_of_connections_that_are_not_used_or_not_there_twice(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, others: list[Connection]
) -> None:
    tell(monkeypatch, *others)

    around.plan()

    assert findings(around) == []


def test_a_scheduler_that_told_nothing_hides_nothing(around: Surroundings) -> None:
    around.plan()

    assert findings(around) == []


@pytest.mark.parametrize(
    ("changed", "is_hidden"),
    [
        ({}, False),
        ({"password": "another"}, False),
        ({"host": "https://log.intellimize.co"}, True),
        ({"login": "987654321"}, True),
        ({"host": "http://127.0.0.1", "port": 8090}, True),
    ],
)
def test_a_secrets_backend_is_known_by_where_its_connection_leads(changed: dict[str, Any], is_hidden: bool) -> None:
    fields = {"conn_type": "webflow", "host": "http://127.0.0.1:8090", "login": "123456789", "password": TOKEN} | changed
    told = {"connections": {"webflow_default": fingerprint(TO_A_SIMULATOR)}}

    found = hidden(told, {"webflow_default": Connection(conn_id="webflow_default", **fields)})

    assert (found is not None) == is_hidden
    assert "a secrets backend or the API server's environment" in (found or "a secrets backend or the API server's environment")


def test_no_secret_is_in_what_the_scheduler_tells() -> None:
    assert fingerprint(TO_A_SIMULATOR) == fingerprint(
        Connection(conn_id="x", conn_type="http", host="http://127.0.0.1:8090", login="123456789", password="other", extra="{}")
    )
