"""A person who was removed is nowhere in a dump of the ledger and of Airflow's database, but for the tombstones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from demo.airflow_stack import REPOSITORY
from demo.postgres import USER
from demo.stage import LEDGER, Stage
from tests.e2e.conftest import run_by_hand
from tests.servers import Server, ok, saying

pytestmark = pytest.mark.airflow

CONFIGURATION = """
sources:
  - {name: orders, sql: orders.sql, event_name: offline-purchase, timestamps: {kind: aware}}
known_users: {sql: people.sql}
guards: {rejected_share: null}
"""
ORDERS = "SELECT conversion_id, occurred_at, identity_key, value FROM canary_orders"
BREAKS = "SELECT conversion_id, occurred_at, identity_key, value / (conversion_id <> 'canary-order-4')::integer AS value FROM canary_orders"
PEOPLE = "SELECT identity_key, user_domain, user_id, identified_at FROM canary_people WHERE identity_key IN :identity_keys"
TABLES = """
DROP TABLE IF EXISTS canary_orders, canary_people;
CREATE TABLE canary_orders (conversion_id text, occurred_at timestamptz, identity_key text, value numeric);
CREATE TABLE canary_people (identity_key text, user_domain text, user_id text, identified_at timestamptz);
INSERT INTO canary_orders SELECT 'canary-order-' || n, now() - n * interval '1 hour', 'canary-key', 10 FROM generate_series(1, 4) n;
INSERT INTO canary_people VALUES ('canary-key', 'shop', 'canary-user', now() - interval '9 days')
"""


def echoes(head: bytes, body: bytes) -> bytes:
    """Accepts the first order, refuses the second with words that repeat its action ID, and the others with all that came."""
    match action_id(body)[-1:]:
        case b"":
            return saying(422, "Content-Type: application/json", body=b"{}" if body else b"")
        case b"1":
            return ok(head, body)
        case b"2":
            return saying(422, "Content-Type: application/json", body=b'{"error": "no goal for %s"}' % action_id(body))
        case _:
            return saying(422, "Content-Type: application/json", body=b'{"error": %s}' % body)


def action_id(body: bytes) -> bytes:
    return body.partition(b'"actionId":"')[2].partition(b'"')[0]


def dump(stage: Stage, database: str) -> list[str]:
    """The lines of a dump of a database, each with the name of its table."""
    program = stage.postgres.programs() / "pg_dump"
    command = [program, "-h", "127.0.0.1", "-p", str(stage.postgres.port), "-U", USER, database]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    table, lines = "", []
    for line in text.splitlines():
        if line.startswith("COPY "):
            table = line.split()[1]
        lines.append(f"{table}: {line}")
    return lines


def forget(stage: Stage) -> str:
    """What the command says."""
    command = [sys.executable, "-m", "webflow_conversions", "forget", "--user", "shop", "canary-user", "--yes"]
    environment = {**os.environ, "AIRFLOW_CONN_WEBFLOW_LEDGER": stage.postgres.url(LEDGER, "postgres")}
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY, env=environment).stdout


def test_a_removed_person_is_in_no_dump_but_as_tombstones(anew: Stage, configuration: Path) -> None:
    folder = configuration.parent / "sql"
    configuration.write_text(CONFIGURATION)
    (folder / "orders.sql").write_text(ORDERS)
    (folder / "people.sql").write_text(PEOPLE)
    anew.warehouse(TABLES)

    run_by_hand(anew, dry_run=True)
    with Server(echoes) as server:
        anew.set_connection("webflow_default", host=server.url)
        refused = run_by_hand(anew)
    assert [row.state for row in refused.conversions] == ["accepted", "rejected", "rejected", "rejected"]

    (folder / "orders.sql").write_text(BREAKS)
    broken = run_by_hand(anew)
    assert "division by zero (SQLSTATE 22012), after 3 rows" in "".join(broken.failures.values())

    page = {"url": f"{anew.airflow.url}/webflow", "headers": {"Authorization": f"Bearer {token(anew)}"}}
    for text in ("canary-user", "canary-key", "order CANARY-ORDER-2", "canary-order"):
        found = requests.post(f"{page['url']}/api/search", headers=page["headers"], json={"text": text}, timeout=60)
        assert len(found.json()["conversions"]) in (1, 4)
    for query in ({"conversion": "canary-order-3"}, {"written": "order CANARY-ORDER-2"}):
        done = requests.post(
            f"{page['url']}/api/actions", params=query, headers=page["headers"], json={"action": "send_again"}, timeout=60
        )
        assert done.status_code == 200

    before = [line for name in (LEDGER, "airflow") for line in dump(anew, name) if "canary" in line]
    assert any("webflow.actions" in line for line in before)
    assert [line for line in before if line.startswith(("public.", "airflow"))] == []

    anew.warehouse("DELETE FROM canary_orders; DELETE FROM canary_people")
    assert "Removed the person from 4 conversions" in forget(anew)

    after = [line for name in (LEDGER, "airflow") for line in dump(anew, name) if "canary" in line.lower()]
    assert len(after) == 4, "\n".join(after)
    for line in after:
        assert line.startswith("webflow.conversions: "), line
        assert line.count("canary") == 1, line
        assert "\twebflow_default/orders/offline-purchase/canary-order-" in line

    logs = "".join(file.read_text() for file in (anew.airflow.home / "logs").rglob("*.log"))
    assert "canary-order" in logs, "the documents say so"
    assert "canary-user" not in logs
    assert "canary-key" not in logs


def token(stage: Stage) -> str:
    return stage.airflow.token(stage.airflow.username, stage.airflow.password)
