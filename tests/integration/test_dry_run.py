"""A dry run shows what a run would do, and leaves everything as it was."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.event import shortened

HOUR = timedelta(hours=1)


def dump(night: Night) -> dict[str, list[Any]]:
    """Every row of every table of the ledger but the record of runs, which a dry run may be in."""
    tables = night.sql(
        "SELECT c.relname FROM pg_class c WHERE relnamespace = 'webflow'::regnamespace AND relkind = 'r' AND relname <> 'runs'"
    )
    return {name: sorted(night.sql(f"SELECT t::text FROM webflow.{name} t")) for (name,) in tables}


def amount(rows: int, value: str) -> Amount:
    return Amount(rows=rows, value=Decimal(value))


@pytest.fixture
def mixed(night: Night, simulator: SimulatorProcess) -> Night:
    """A night after which one conversion is out, one waits for its user, one for its time, one was refused, one is left over."""
    night.person()
    night.sale("out", value=1)
    run = night.read("first")
    night.push(run, simulator.url)
    night.sale("held", key="k2", value=2)
    night.sale("future", ago=-HOUR, value=4)
    night.sale("refused", value=8)
    night.sale("left over", value=16)
    night.read("second")
    night.sql("UPDATE webflow.conversions SET state = 'rejected', reason = 'refused_422' WHERE conversion_id = 'refused'")
    return night


def test_a_dry_run_tells_what_would_be_sent_held_and_rejected_with_its_money(mixed: Night) -> None:
    mixed.sale("new", value=32)
    mixed.sale("bad", value=-1)
    mixed.sale("strange", key="stranger", value=64)
    mixed.sale("late", ago=49 * HOUR, value=128)
    mixed.sale("old", ago=timedelta(days=40), value=256)
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    assert shown.states == {
        ("accepted", None): amount(1, "1"),
        ("held", "unknown_user"): amount(2, "66"),
        ("future", None): amount(1, "4"),
        ("rejected", "refused_422"): amount(1, "8"),
        ("ready", None): amount(2, "48"),
        ("rejected", "negative_value"): amount(1, "0"),
        ("expired", "expired_before_seen"): amount(1, "128"),
    }
    assert shown.to_send == amount(2, "48")
    assert shown.tally.read == amount(10, "511")
    assert shown.tally.too_old == amount(1, "256")
    assert shown.tally.adds_up


def test_a_dry_run_changes_no_row_of_any_table(mixed: Night) -> None:
    mixed.sale("new")
    mixed.sql("UPDATE sales SET value = value + 1")
    mixed.person("k2", "u2")
    mixed.clock.at = NOW + timedelta(hours=2)
    run = mixed.begin("dry", dry_run=True)
    before = dump(mixed)
    shown = mixed.dry_run(run)
    assert shown.to_send.rows == 5
    assert dump(mixed) == before
    assert len(before["conversions"]) == 5


def test_what_a_dry_run_shows_is_what_the_run_then_does(mixed: Night, simulator: SimulatorProcess) -> None:
    mixed.sale("new", value=32)
    mixed.sql("DELETE FROM sales WHERE conversion_id IN ('held', 'future', 'left over')")
    mixed.person("k2", "u2")
    mixed.clock.at = NOW + timedelta(hours=2)
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    counts = mixed.push(mixed.read("real"), simulator.url)
    assert counts.accepted == shown.to_send.rows == 4
    assert mixed.sql("SELECT sum(value) FROM webflow.conversions WHERE state = 'accepted' AND run_id = 'real'") == [
        (shown.to_send.value,)
    ]


def test_a_personal_user_id_is_shown_as_rejected_even_for_what_waits(mixed: Night) -> None:
    mixed.sql("DELETE FROM sales")
    mixed.person("k2", "jane@example.com")
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    assert shown.states == {("ready", None): amount(1, "16"), ("rejected", "personal_data_in_user_id"): amount(1, "2")}


def test_a_conversion_in_several_chunks_is_shown_once(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    from webflow_conversions.warehouse.reader import Warehouse

    original = Warehouse.read
    monkeypatch.setattr(
        Warehouse, "read", lambda self, sql, binds, columns, handle: original(self, sql, binds, columns, handle, 1)
    )
    night.person()
    night.sale("a", value=3)
    night.sale("a", value=3)
    night.sale("b", value=5)
    shown = night.dry_run(night.begin(dry_run=True))
    assert shown.states == {("ready", None): amount(2, "8")}
    assert shown.tally.duplicates == amount(1, "3")
    assert [payload["actionId"].rsplit("/")[-1] for payload in shown.payloads] == ["a", "b"]


def test_the_first_payloads_are_what_would_go_out_but_for_the_user_s_id(mixed: Night, simulator: SimulatorProcess) -> None:
    mixed.sql("DELETE FROM sales")
    mixed.sale("new", value="149.99")
    mixed.sql("UPDATE people SET user_id = '72349876'")
    shown = mixed.dry_run(mixed.begin("dry", dry_run=True))
    new, waiting = shown.payloads
    assert new == {
        "customerId": "123456789",
        "eventName": "offline-purchase",
        "userDomain": "crm",
        "userId": "7234…",
        "actionId": "webflow_default/sales/offline-purchase/new",
        "actionTimestamp": int((NOW - HOUR).timestamp() * 1000),
        "value": 149.99,
    }
    assert (waiting["actionId"], waiting["value"], waiting["userId"]) == (
        "webflow_default/sales/offline-purchase/left over".replace(" ", "%20"),
        16,
        "7234…",
    )


def test_five_payloads_are_enough(night: Night) -> None:
    night.ready(9)
    night.sql("UPDATE sales SET conversion_id = 'd' || conversion_id WHERE conversion_id < 'c4'")
    shown = night.dry_run(night.begin("dry", dry_run=True))
    assert len(shown.payloads) == 5
    assert shown.to_send.rows == 12


@pytest.mark.parametrize(
    ("user_id", "short"), [("72349876", "7234…"), ("abcdefgh-ijkl", "abcd…"), ("abc", "a…"), ("a", "…"), ("漢字漢字", "漢字…")]
)
def test_of_a_user_id_at_most_half_is_shown_and_never_more_than_four_characters(user_id: str, short: str) -> None:
    assert shortened(user_id) == short
