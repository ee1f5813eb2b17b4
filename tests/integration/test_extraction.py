"""What extraction brings into the ledger, and what it leaves alone there."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from webflow_conversions.errors import Unavailable, Unusable
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.personal_data import PersonalDataInIds
from webflow_conversions.rules.source import Goal
from webflow_conversions.rules.window import Window

HOUR = timedelta(hours=1)


def test_a_row_becomes_one_conversion_with_all_that_the_ledger_promises(night: Night) -> None:
    night.person("k1", "72349876", domain="salesforce")
    night.sale("100234", value=Decimal("149.995"), at="2026-11-23 21:00:00.1239+00")
    run = night.read("manual__1")
    row = night.row("100234")
    assert (row.destination, row.source, row.event_name) == ("webflow_default", "sales", "offline-purchase")
    assert row.action_id == "webflow_default/sales/offline-purchase/100234"
    assert row.action_timestamp_ms == 1795467600123
    assert (row.value, row.identity_key) == (Decimal("150.00"), "k1")
    assert (row.user_domain, row.user_id) == ("salesforce", "72349876")
    assert (row.state, row.reason, row.attempts, row.http_status) == ("ready", None, 0, None)
    assert (row.first_seen_at, row.settled_at, row.run_id) == (NOW, None, run.run_id)


def test_a_second_reading_of_the_same_rows_changes_nothing(night: Night) -> None:
    night.person()
    night.sale("a")
    night.sale("b", key="stranger")
    night.sale("c", key=None)
    night.sale("d", ago=timedelta(hours=50))
    night.sale("e", ago=-HOUR)
    night.read("first")
    before = night.rows()
    night.extract(night.begin("second"))
    assert night.rows() == before


def test_an_extraction_that_has_ended_outlives_a_crash_of_the_server(tmp_path: Path) -> None:
    with PostgresServer(tmp_path, settings={"fsync": "on", "wal_writer_delay": "10s"}) as server:
        server.create_database("night")
        night = Night(partial(server.connect, "night"))
        night.sql("INSERT INTO sales SELECT 'c' || g, %s, 'k1', 1 FROM generate_series(1, 30000) g", NOW - HOUR)
        night.extract(night.begin())
        server.stop("immediate")
        server.start()
        assert night.sql("SELECT count(*) FROM webflow.conversions") == [(30_000,)]
        assert night.sql("SELECT recorded_rows FROM webflow.extractions WHERE ended_at IS NOT NULL") == [(30_000,)]
        night.session.close()


def test_rows_without_an_id_are_told_apart_by_what_they_say_and_recorded_once(night: Night) -> None:
    night.sale(None, value=1)
    night.sale(None, value=2)
    night.sale(None, value=2)
    tally = night.extract(night.begin())
    assert tally.duplicates == Amount(rows=1, value=Decimal(2))
    night.extract(night.begin("again"))
    assert night.sql("SELECT count(*), min(state), min(reason) FROM webflow.conversions") == [
        (2, "rejected", "missing_conversion_id")
    ]


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_of_conflicting_rows_the_earliest_moment_stands_in_whatever_chunks_they_come(
    night: Night, chunk_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.person()
    for hours, value in [(2, 20), (5, 50), (3, 30), (5, 50)]:
        night.sale("a", ago=timedelta(hours=hours), value=value)
    run = night.begin()
    monkeypatch.setattr("webflow_conversions.warehouse.reader.Warehouse.read", _in_chunks_of(chunk_rows))
    tally = night.extract(run)
    row = night.row("a")
    assert (row.value, row.action_timestamp_ms) == (Decimal(50), int((NOW - 5 * HOUR).timestamp() * 1000))
    assert tally.read == Amount(rows=4, value=Decimal(150))
    assert tally.recorded == Amount(rows=1, value=Decimal(50))
    assert tally.duplicates == Amount(rows=1, value=Decimal(50))
    assert tally.conflicting == Amount(rows=2, value=Decimal(50))
    night.identify(run)
    assert night.problems(run) == ["sales: 1 conversion (50.00) ready, not sent"]


def _in_chunks_of(rows: int):
    from webflow_conversions.warehouse.reader import Warehouse

    original = Warehouse.read

    def read(self, sql, parameters, columns, handle, chunk_rows=rows):
        return original(self, sql, parameters, columns, handle, chunk_rows)

    return read


def test_a_change_before_it_was_sent_counts(night: Night) -> None:
    night.person("k1", "u1")
    night.person("k2", "u2")
    night.sale("a", value=10)
    night.read("first")
    night.sql("UPDATE sales SET value = 12, identity_key = 'k2'")
    night.read("second")
    row = night.row("a")
    assert (row.state, row.value, row.user_id, row.run_id) == ("ready", Decimal(12), "u2", "second")


def test_a_change_after_it_was_sent_is_noted_and_never_sent(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("a", value=10)
    night.push(night.read("first"), simulator.url)
    night.sql("UPDATE sales SET value = 12")
    run = night.read("second")
    night.push(run, simulator.url)
    row = night.row("a")
    assert (row.state, row.value, row.changed_after_sent_at) == ("accepted", Decimal(10), NOW)
    assert len(simulator.events()) == 1
    accounts = night.runs.accounts(run, {"webflow_default": run.sources}, NOW)
    assert accounts["sales"].changed_after_sent == 1
    assert night.problems(run) == []
    ((what, detail),) = night.sql("SELECT what, detail FROM webflow.history")
    assert what == "changed_after_sent"
    assert "value 12.00, was 10.00" in detail


MEANWHILE = {
    "is claimed": "state = 'sending'",
    "is accepted": "state = 'accepted', attempts = 1",
    "comes back in doubt": "state = 'ready', attempts = 1, attempts_in_doubt = 1",
}


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)
def test_a_row_that_goes_out_while_its_chunk_is_recorded_keeps_what_was_sent(night: Night, change: str) -> None:
    night.person()
    night.sale("a", value=10)
    night.read("first")
    night.sql("UPDATE sales SET value = 12")
    run = night.begin("second")
    recorded_while(night, run, f"UPDATE webflow.conversions SET {change}")
    assert (night.row("a").value, night.row("a").changed_after_sent_at) == (Decimal(10), NOW)


def test_a_row_that_is_claimed_and_given_back_unsent_while_its_chunk_is_recorded_follows_its_source(night: Night) -> None:
    night.person()
    night.sale("a", value=10)
    night.read("first")
    night.sql("UPDATE sales SET value = 12")
    recorded_while(night, night.begin("second"), "UPDATE webflow.conversions SET push_id = NULL")
    assert (night.row("a").value, night.row("a").changed_after_sent_at) == (Decimal(12), None)


def recorded_while(night: Night, run: Run, statement: str) -> None:
    """Extract while another session, which was there first, changes the ledger with this statement."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with closing(night.connect()) as other, ThreadPoolExecutor(1) as pool:
        with other, other.cursor() as cursor:
            cursor.execute(statement)
            extracting = pool.submit(night.extract, run)
            while night.sql(waits) == [(0,)]:
                assert not extracting.done(), "it did not meet the other session"
        extracting.result()


def test_a_row_that_is_in_doubt_and_goes_out_again_keeps_what_was_sent(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("a", value=10)
    simulator.faults([{"action": "drop_after", "times": 1}])
    night.push(night.read("first"), simulator.url, attempts_per_run=1)
    assert (night.row("a").state, night.row("a").attempts_in_doubt) == ("ready", 1)
    night.sql("UPDATE sales SET value = 12")
    run = night.read("second")
    assert (night.row("a").value, night.row("a").changed_after_sent_at) == (Decimal(10), NOW)
    night.push(run, simulator.url)
    assert night.states() == {"a": ("accepted", None)}
    assert [json.loads(event["body"])["value"] for event in simulator.events()] == [10, 10]


def test_a_rejected_row_goes_out_once_the_source_corrects_it(night: Night) -> None:
    night.person()
    night.sale("a", value="-5")
    night.read("first")
    assert night.states() == {"a": ("rejected", "negative_value")}
    night.sql("UPDATE sales SET value = 5")
    night.read("second")
    assert night.states() == {"a": ("ready", None)}


def test_a_rejected_row_goes_out_once_the_configuration_allows_it(night: Night) -> None:
    night.person()
    night.sale("a")
    night.rules = replace(night.rules, goals=[])
    night.read("first")
    assert night.states() == {"a": ("rejected", "unknown_goal")}
    night.rules = replace(night.rules, goals=[Goal(event_name="offline-purchase", valid_from=None, valid_to=None)])
    night.read("second")
    assert night.states() == {"a": ("ready", None)}


def test_a_ready_row_is_rejected_once_the_configuration_forbids_it(night: Night) -> None:
    night.person()
    night.sale("a")
    night.read("first")
    night.rules = replace(night.rules, goals=[])
    night.read("second")
    assert night.states() == {"a": ("rejected", "unknown_goal")}


def test_what_the_api_refused_waits_for_a_change_of_the_row_or_of_the_configuration(
    night: Night, simulator: SimulatorProcess
) -> None:
    night.person()
    night.sale("a")
    simulator.faults([{"action": "status", "status": 422, "times": 1}])
    night.push(night.read("first"), simulator.url)
    assert night.states() == {"a": ("rejected", "refused_422")}
    night.extract(night.begin("second"))
    assert night.states() == {"a": ("rejected", "refused_422")}
    night.extract(night.begin("third"), fingerprint="another")
    assert night.states() == {"a": ("ready", None)}


def test_what_the_api_refused_goes_out_again_once_the_row_is_changed(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("a", value=10)
    simulator.faults([{"action": "status", "status": 400, "times": 1}])
    night.push(night.read("first"), simulator.url)
    night.sql("UPDATE sales SET value = 11")
    night.push(night.read("second"), simulator.url)
    assert (night.row("a").state, night.row("a").attempts) == ("accepted", 2)


def test_an_eligible_row_outside_the_window_is_counted_and_left_alone(night: Night) -> None:
    night.person()
    night.sale("yesterday", at="2026-11-22 23:59:59.999+00", value=1)
    night.sale("today", at="2026-11-23 00:00:00+00", value=2)
    tally = night.extract(night.begin(window=Window.of_date(datetime(2026, 11, 23, tzinfo=UTC).date())))
    assert set(night.rows()) == {"today"}
    assert tally.outside == Amount(rows=1, value=Decimal(1))


def test_rows_older_than_30_days_are_counted_only(night: Night) -> None:
    night.sale("old", ago=timedelta(days=30, milliseconds=1), value=3)
    night.sale("less old", ago=timedelta(days=30), value=4)
    tally = night.extract(night.begin())
    assert night.states() == {"less old": ("expired", "expired_before_seen")}
    assert tally.too_old == Amount(rows=1, value=Decimal(3))


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "294276-12-31 00:00:00+00"])
def test_moments_that_only_postgresql_knows_get_a_reason(night: Night, moment: str) -> None:
    night.sale("a", at=moment)
    night.extract(night.begin())
    assert night.states() == {"a": ("rejected", "invalid_timestamp")}
    assert night.row("a").detail.startswith("occurred_at = ")


@pytest.mark.parametrize("text", ["tab\there", "line\nbreak", "back\\slash", r"\N", '"quoted", comma', "ünïcödé 漢字", "'"])
def test_ids_arrive_to_the_letter(night: Night, text: str) -> None:
    night.person(text, text)
    night.sale(text, key=text)
    night.read()
    row = night.row(text)
    assert (row.conversion_id, row.identity_key, row.user_id, row.state) == (text, text, text, "ready")


def test_a_query_that_lacks_a_column_is_refused_before_anything_is_written(night: Night) -> None:
    night.sales_sql = "SELECT conversion_id, occurred_at FROM sales"
    with pytest.raises(Unusable, match=r"source sales does not return identity_key: add it"):
        night.extract(night.begin())
    assert night.sql("SELECT count(*) FROM webflow.extractions") == [(0,)]


def test_a_query_that_fails_at_a_row_is_one_sentence_and_keeps_what_it_recorded(night: Night) -> None:
    night.sale("a")
    night.sales_sql = "SELECT conversion_id, occurred_at, identity_key, 1 / (value - 10) AS value FROM sales"
    with pytest.raises(Unusable, match=r"refuses the query of source sales: division by zero"):
        night.extract(night.begin())
    assert night.rows() == {}


def test_a_second_try_of_an_extraction_is_accounted_for_by_itself(night: Night) -> None:
    night.person()
    night.sale("a")
    run = night.begin()
    night.extract(run)
    tally = night.extract(run)
    assert tally.duplicates == Amount()
    night.identify(run)
    assert night.problems(run) == ["sales: 1 conversion (10.00) ready, not sent"]


def test_two_runs_may_add_the_same_rows_at_the_same_moment(night: Night) -> None:
    night.person()
    night.sql("INSERT INTO sales SELECT 's' || g, %s, 'k1', 1 FROM generate_series(1, 3000) g", NOW - HOUR)
    others = [Night.__new__(Night) for _ in range(3)]
    for other in others:
        other.__dict__.update(night.__dict__)
        other.session = type(night.session)(night.connect)
    runs = [night.begin(f"run {number}") for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        tallies = list(pool.map(lambda pair: pair[0].extract(pair[1]), zip(others, runs, strict=True)))
    assert [tally.recorded.rows for tally in tallies] == [3000] * 3
    assert night.sql("SELECT count(*), count(DISTINCT action_id) FROM webflow.conversions") == [(3000, 3000)]


def test_a_warehouse_that_is_away_is_one_sentence(night: Night) -> None:
    import sqlalchemy as sa

    from webflow_conversions.warehouse.reader import Warehouse

    away = Warehouse(sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none"), "warehouse")
    with pytest.raises(Unavailable, match=r"The warehouse \(connection warehouse\) does not answer: .*[Cc]onnection refused"):
        away.columns("SELECT 1 AS one", {})


def test_the_ledger_has_no_address_of_a_conversion_id_whatever_the_source_says(night: Night) -> None:
    night.person()
    night.sale("Ada@example.com")
    night.sale("undefined")
    night.sale("undefined", value=20)
    digest = hashlib.sha256(b"ada@example.com").hexdigest()
    night.read()
    assert night.states() == {
        digest: ("rejected", "personal_data_in_conversion_id"),
        "undefined": ("rejected", "invalid_conversion_id"),
    }
    assert night.sql("SELECT count(*) FROM webflow.conversions") == [(3,)]
    night.rules = replace(night.rules, personal_data=PersonalDataInIds.SHA256)
    night.read("again")
    assert night.states()[digest] == ("ready", None)
    kept = night.sql("SELECT row_to_json(c)::text FROM webflow.conversions c")
    assert "example.com" not in str(kept).lower()
