"""The operators one after the other, as the Dag's tasks run them: what each returns, refuses, and tells to Airflow."""

import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseHook

from demo.postgres import USER, free_port
from demo.simulator import SimulatorProcess
from tests.integration.conftest import Gauges
from tests.night import CUSTOMER_ID, TOKEN
from tests.surroundings import CONFIGURATION, PEOPLE, TWO_SOURCES, Surroundings
from webflow_conversions.errors import Stopped, Unavailable, Unfinished
from webflow_conversions.pipeline.preview import Preview
from webflow_conversions.pipeline.reconciliation import BESIDE
from webflow_conversions.warehouse.reader import Warehouse

MORE_SALES = """
INSERT INTO sales SELECT 'b' || n, now() - interval '2 hours', 'k1' FROM generate_series(1, 9) n;
INSERT INTO sales VALUES ('h1', now() - interval '1 hour', 'nobody'), (NULL, now() - interval '1 hour', 'k1')
"""


def states(around: Surroundings) -> dict[str, int]:
    return dict(around.sql("SELECT state, count(*)::int FROM webflow.conversions GROUP BY state"))


def test_a_night(around: Surroundings, gauges: Gauges) -> None:
    around.sql(MORE_SALES)

    assert around.plan() == ["sales"]
    tally = around.extract()
    works = around.identify()
    pushes = [around.push(work).execute(around.context()) for work in works]
    document = around.reconcile()

    assert (tally["source"], tally["read"]["rows"]) == ("sales", 12)
    assert works == [{"destination": "webflow_default", "sources": ["sales"], "worker": number} for number in (0, 1)]
    assert sum(push["accepted"] for push in pushes) == 10
    assert all(push["complete"] for push in pushes)
    assert states(around) == {"accepted": 10, "held": 1, "rejected": 1}
    assert len(around.simulator.events()) == 10
    assert document["sources"]["sales"]["sent"]["rows"] == 10
    assert around.asset_event.extra == {"run_id": "manual__1", "dry_run": False, "is_rehearsal": False, **document}
    assert {name: gauges.told[name, "sales"] for name in ("read", "accepted", "held", "ready", "in_doubt", "sent_again")} == {
        "read": 12, "accepted": 10, "held": 1, "ready": 0, "in_doubt": 0, "sent_again": 0,
    }  # fmt: skip
    assert gauges.told["accepted.sales", ""] == 10
    assert gauges.told["rejected.sales.missing_conversion_id", ""] == 1
    assert gauges.told["seconds_to_import", ""] > 0
    assert gauges.told["events_per_second", "webflow_default 0"] + gauges.told["events_per_second", "webflow_default 1"] > 0


def test_times_of_known_users_that_cannot_be_read_are_a_note_of_the_run(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.sql(
        "ALTER TABLE people ALTER identified_at TYPE text USING '14/03/2026'; INSERT INTO people VALUES ('k1', 'crm', 'u2', '15/03/2026')"
    )
    around.plan()
    around.extract()
    for work in around.identify():
        around.push(work).execute(around.context())
    around.reconcile()
    sentence = "known_users: identified_at of 2 rows (such as 99/99/9999) could not be read as a time and counts as unknown"
    ((verdict,),) = around.sql("SELECT verdict FROM webflow.runs")
    assert (verdict["level"], [finding["sentence"] for finding in verdict["findings"]]) == ("note", [sentence])
    assert f"[warning  ] {sentence}." in capsys.readouterr().out


@pytest.mark.parametrize(("ahead", "other_ahead"), [(0, -90), (-90, 0), (90, -90), (90, 0)])
def test_of_two_destinations_the_clock_that_is_behind_counts(
    around: Surroundings, tmp_path: Path, ahead: float, other_ahead: float
) -> None:
    source = "  - {name: others, sql: sales.sql, event_name: e, timestamps: {kind: aware}, webflow_conn_id: webflow_other}\n"
    around.configure(CONFIGURATION.replace("known_users", source + "known_users"))
    with SimulatorProcess(tmp_path / "other.db", token=TOKEN, customer_id=CUSTOMER_ID) as other:
        around.connect("webflow_other", conn_type="webflow", host=other.url, login=CUSTOMER_ID, password=TOKEN)
        around.simulator.clock(ahead)
        other.clock(other_ahead)
        try:
            around.plan()
        finally:
            around.simulator.clock(0)

    least = min(ahead, other_ahead)
    assert least - 1 <= around.xcoms["run"]["clock_offset_seconds"] <= least + 2


@pytest.mark.parametrize(
    ("run_type", "asked", "is_whole"),
    [
        ("scheduled", {}, True),
        ("manual", {}, True),
        ("manual", {"sources": ["deals", "sales"]}, True),
        ("manual", {"sources": ["sales"]}, False),
        ("manual", {"is_dry_run": True}, False),
        ("manual", {"date": f"{datetime.now(UTC):%Y-%m-%d}"}, False),
        ("backfill", {}, False),
    ],
    ids=str,
)
def test_a_run_is_whole_if_it_is_to_send_all_that_is_due(
    around: Surroundings, run_type: str, asked: dict[str, Any], is_whole: bool
) -> None:
    around.configure(TWO_SOURCES)
    around.run_type = run_type
    around.plan()
    around.plan(**asked)

    assert around.sql("SELECT is_whole FROM webflow.runs") == [(is_whole,)]


def test_a_token_that_is_refused_stops_the_push_and_reconcile_fails_the_run(around: Surroundings) -> None:
    around.plan()
    around.extract()
    (work, _) = around.identify()
    around.connect("webflow_default", conn_type="webflow", host=around.simulator.url, login=CUSTOMER_ID, password="revoked")

    with pytest.raises(Stopped, match=r"Webflow refuses the token \(HTTP 401\)"):
        around.push(work).execute(around.context())
    with pytest.raises(Unfinished, match=r"^The run is not complete: .*1 conversion .* ready, not sent"):
        around.reconcile()

    assert states(around) == {"ready": 1}
    assert around.asset_event.extra is None
    around.connect("webflow_default", conn_type="webflow", host=around.simulator.url, login=CUSTOMER_ID, password=TOKEN)
    assert around.push(work).execute(around.context(try_number=2))["accepted"] == 1
    around.reconcile()


def test_a_push_asks_airflow_for_its_connections_once(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question goes through Airflow's API server; the ledger's connection is looked at, and then read by Airflow's hook."""
    around.plan()
    around.extract()
    push = around.push(around.identify()[0])
    asked: Counter[str] = Counter()
    get_connection = BaseHook.get_connection

    def counted(name: str) -> Any:
        asked[name] += 1
        return get_connection(name)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(counted))
    assert push.execute(around.context())["accepted"] == 1
    assert asked == {"webflow_default": 1, "webflow_ledger": 2}


def test_a_push_that_is_killed_before_it_began_sends_nothing(around: Surroundings) -> None:
    around.plan()
    around.extract()
    push = around.push(around.identify()[0])
    push.on_kill()

    with pytest.raises(Unavailable, match="The push was stopped"):
        push.execute(around.context())

    assert around.simulator.events() == []
    assert states(around) == {"ready": 1}


def test_a_dry_run_keeps_its_result_for_the_page_and_returns_counts_alone(
    around: Surroundings, capsys: pytest.CaptureFixture[str]
) -> None:
    around.sql("INSERT INTO sales VALUES ('c2', now() - interval '1 hour', 'key-of-nobody')")
    around.plan(is_dry_run=True)
    shown = around.extract()

    assert around.identify() == []

    assert around.sql("SELECT outcome, counts FROM webflow.runs") == [
        ("succeeded", {"sources": {"sales": {name: part for name, part in shown.items() if name != "source"}}})
    ]
    assert set(shown) == {"source", "read", "recorded", *BESIDE, "states", "unseen"}
    ((source, kept),) = around.sql("SELECT source, preview FROM webflow.dry_runs")
    assert source == "sales"
    assert Preview.from_json(kept).to_send.rows == 1
    assert kept["payloads"][0] | {"actionTimestamp": 0} == {
        "customerId": CUSTOMER_ID,
        "eventName": "offline-purchase",
        "userDomain": "crm",
        "userId": "u…",
        "actionId": "webflow_default/sales/offline-purchase/c1",
        "actionTimestamp": 0,
    }
    log = capsys.readouterr().out
    assert re.search(r"held +unknown_user +1 +0\.00  such as c2", log)
    assert "key-of-nobody" not in str(kept) + log + str(around.xcoms)
    assert around.xcoms["dry_run"].startswith("1 conversion (0.00) would be sent, and nothing was. [")
    assert around.xcoms["dry_run"].endswith("/webflow/dry-runs/1)")
    assert around.sql("SELECT count(*) FROM webflow.conversions") == [(0,)]
    assert around.simulator.events() == []
    around.sql("DELETE FROM webflow.dry_runs")
    for task in (around.identify, around.reconcile):
        with pytest.raises(Unfinished, match="sales: was not read to its end"):
            task()
    assert around.sql("SELECT outcome FROM webflow.runs") == [("failed",)]


def test_a_guard_stops_the_run_and_force_goes_past_it(around: Surroundings) -> None:
    around.configure(CONFIGURATION + "guards: {rejected_share: 0.01, min_rows: 1}\n")
    around.sql(MORE_SALES)
    around.plan()
    around.extract()
    with pytest.raises(Stopped, match=r"Nothing is sent, since this run looks wrong: .*guards\.rejected_share"):
        around.identify()

    around.run_id = "manual__2"
    around.plan(force=True)
    around.extract()
    assert len(around.identify()) == 2


def test_what_a_source_that_promises_all_no_longer_returns_is_not_sent_and_the_run_says_so(around: Surroundings) -> None:
    around.configure(CONFIGURATION.replace("    timestamps:", "    returns_all: true\n    timestamps:", 1))
    around.sql("INSERT INTO sales VALUES ('refunded', now() - interval '1 hour', 'k1')")
    around.plan()
    around.extract()
    around.identify()
    around.sql("DELETE FROM sales WHERE conversion_id = 'refunded'")

    around.run_id = "manual__2"
    around.plan()
    around.extract()
    for work in around.identify():
        around.push(work).execute(around.context())
    document = around.reconcile()

    assert states(around) == {"accepted": 1, "withdrawn": 1}
    assert [event["action_id"].rsplit("/")[-1] for event in around.simulator.events()] == ["c1"]
    assert document["sources"]["sales"]["withdrawn"]["rows"] == 1
    ((problems, verdict),) = around.sql("SELECT problems, verdict FROM webflow.runs WHERE run_id = 'manual__2'")
    assert problems == []
    assert [finding["cause"] for finding in verdict["findings"]] == ["withdrawn"]


def test_known_users_that_were_emptied_stop_the_run_and_force_goes_past_it(around: Surroundings) -> None:
    around.sql("INSERT INTO sales SELECT 'm' || g, now() - interval '1 hour', 'k1' FROM generate_series(1, 11) g")
    around.plan()
    around.extract()
    around.identify()
    around.sql("DELETE FROM people")

    around.run_id = "manual__2"
    around.plan()
    around.extract()
    with pytest.raises(
        Stopped, match=r"12 of 12 conversions of sales that had a known user have none any more .*lost_user_share"
    ):
        around.identify()
    assert states(around) == {"held": 12}

    around.run_id = "manual__3"
    around.sql("INSERT INTO people VALUES ('k1', 'crm', 'u1', now() - interval '1 day')")
    around.plan()
    around.extract()
    around.sql("DELETE FROM people")
    around.run_id = "manual__4"
    around.plan(force=True)
    around.extract()
    assert len(around.identify()) == 2


def test_a_warehouse_that_goes_away_keeps_nothing_that_is_ready(around: Surroundings) -> None:
    """Identify is tried again by Airflow; its last try lets go out what is known, and reconcile says what is open."""
    around.sql("INSERT INTO sales VALUES ('h1', now() - interval '1 hour', 'nobody')")
    around.plan()
    around.extract()
    around.connect("warehouse", conn_type="postgres", host="127.0.0.1", port=free_port(), login=USER, schema="warehouse")

    with pytest.raises(Unavailable):
        around.identify(try_number=2)
    for work in around.identify(try_number=4):
        around.push(work).execute(around.context())

    assert states(around) == {"accepted": 1, "held": 1}
    with pytest.raises(Unfinished, match="identify: The warehouse"):
        around.reconcile()


def test_the_query_for_known_users_is_looked_at_once_for_users_and_verdicts(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice without rows: with a text, since keys are text, and without any."""
    around.configure_visits()
    around.plan()
    around.extract()
    columns, asked = Warehouse.columns, list[str]()
    monkeypatch.setattr(Warehouse, "columns", lambda self, sql, binds: asked.append(sql) or columns(self, sql, binds))

    around.identify()

    assert around.sql("SELECT attribution FROM webflow.conversions") == [("will_count",)]
    assert asked.count(PEOPLE) == 2


def test_the_run_knows_the_reading_that_the_page_follows(around: Surroundings) -> None:
    (around.folder / "sql" / "visits.sql").write_text(
        "SELECT 'crm' AS user_domain, 'u1' AS user_id, now() AS started_at, now() AS last_active_at, now() AS first_viewed_at"
    )
    (around.folder / "sql" / "until.sql").write_text("SELECT now() AS complete_until")
    around.configure(CONFIGURATION + "attribution: {visits: visits.sql, complete_until: until.sql, reading: wide}\n")
    around.plan()
    around.extract()
    around.identify()
    assert around.sql("SELECT reading FROM webflow.runs") == [("wide",)]
    around.configure(CONFIGURATION)
    around.identify()
    assert around.sql("SELECT reading FROM webflow.runs") == [(None,)]


def test_the_record_of_the_run_has_its_money(around: Surroundings) -> None:
    around.configure(CONFIGURATION)
    (around.folder / "sql" / "sales.sql").write_text(
        (around.folder / "sql" / "sales.sql").read_text().replace("identity_key FROM", "identity_key, 12.5 AS value FROM")
    )
    around.plan()
    around.extract()
    for work in around.identify():
        around.push(work).execute(around.context())
    document: Any = around.reconcile()

    assert Decimal(document["sources"]["sales"]["sent"]["value"]) == Decimal("12.5")
    assert around.sql("SELECT ended_at IS NOT NULL, problems FROM webflow.runs") == [(True, [])]
