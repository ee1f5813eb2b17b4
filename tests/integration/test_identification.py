"""Who waits for a user, who gets one, and what time does meanwhile."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.night import DESTINATION, NOW, RULES, Night
from webflow_conversions.ledger.identification import Identification
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.identification import Identified, identify
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.window import Window

HOUR = timedelta(hours=1)


def test_a_held_row_is_matched_when_its_user_turns_up_without_being_extracted_again(night: Night) -> None:
    night.sale("a")
    night.read("first")
    assert night.states() == {"a": ("held", "unknown_user")}
    night.person()
    night.sql("DELETE FROM sales")
    run = night.read("second")
    assert night.states() == {"a": ("ready", None)}
    assert night.row("a").run_id == run.run_id


def test_a_second_try_looks_again_for_what_the_run_itself_recorded_as_held(night: Night) -> None:
    night.sale("a")
    run = night.read()
    night.person()
    assert night.identify(run).looked_up == 0
    assert night.identify(run, just_asked=False).known == 1
    assert night.states() == {"a": ("ready", None)}


def test_only_held_rows_of_the_window_are_looked_up(night: Night) -> None:
    night.sale("old", ago=40 * HOUR)
    night.sale("new", ago=HOUR)
    night.read("first")
    night.person()
    night.sql("DELETE FROM sales")
    night.read("second", window=Window(start=NOW - 2 * HOUR, end=NOW))
    assert night.states() == {"old": ("held", "unknown_user"), "new": ("ready", None)}


def narrowed(night: Night, **rules: str) -> Run:
    """A run for another source, or to another destination, two hours later; the warehouse knows everybody by then."""
    night.person()
    night.sql("DELETE FROM sales")
    night.clock.at = NOW + 2 * HOUR
    night.rules = replace(RULES, **rules)
    return night.read("narrowed")


@pytest.mark.parametrize("rules", [{"source": "deals"}, {"destination": "another_webflow"}], ids=["source", "destination"])
def test_a_run_wakes_and_identifies_nothing_of_another_source_nor_of_a_source_s_former_destination(
    night: Night, rules: dict[str, str]
) -> None:
    night.sale("held")
    night.sale("future", ago=-HOUR)
    night.read("first")
    narrowed(night, **rules)
    assert night.states() == {"held": ("held", "unknown_user"), "future": ("future", None)}
    night.rules = RULES
    night.read("of all")
    assert night.states() == {"held": ("ready", None), "future": ("ready", None)}


def test_a_source_s_former_destination_stays_its_former_one_though_another_source_has_it_now(night: Night) -> None:
    night.sale("held")
    night.sale("future", ago=-HOUR)
    night.read("first")
    run = replace(narrowed(night, source="nobody's"), sources=["sales", "deals"])
    destinations = {"another_webflow": ["sales"], DESTINATION: ["deals"]}
    waiting = Identification(Session(night.connect), night.session, run, destinations)
    assert identify(night.users, waiting, night.clock.now) == Identified()
    assert {state for state, _ in night.states().values()} == {"held", "future"}


def test_what_a_former_destination_still_holds_fails_no_run_when_it_expires(night: Night) -> None:
    night.sale("held")
    night.read("first")
    narrowed(night, destination="another_webflow")
    night.clock.at = NOW + 48 * HOUR
    run = night.read("last")
    assert night.states() == {"held": ("expired", "expired_unidentified")}
    assert night.problems(run) == []


def test_a_future_row_is_sent_by_the_run_in_which_it_is_due(night: Night) -> None:
    night.person()
    night.sale("a", ago=-2 * HOUR)
    night.read("first")
    assert night.states() == {"a": ("future", None)}
    night.sql("DELETE FROM sales")
    night.clock.at = NOW + 2 * HOUR + timedelta(milliseconds=1)
    night.read("second")
    assert night.states() == {"a": ("ready", None)}


def test_what_comes_due_while_the_run_lasts_is_matched_by_the_same_run(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(minutes=-1))
    run = night.begin(window=Window(start=NOW - HOUR, end=NOW + HOUR))
    night.extract(run)
    assert night.states() == {"a": ("future", None)}
    night.clock.at = NOW + timedelta(minutes=1)
    done = night.identify(run)
    assert (done.arrived, done.looked_up, done.known) == (1, 1, 1)
    assert night.states() == {"a": ("ready", None)}


def test_by_a_slow_clock_of_the_api_a_row_is_still_in_the_future(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(minutes=5))
    night.read("first", clock_offset=timedelta(minutes=-10))
    assert night.states() == {"a": ("future", None)}
    night.clock.at = NOW + timedelta(minutes=6)
    night.read("second", clock_offset=timedelta(minutes=-10), window=Window.up_to(NOW))
    assert night.states() == {"a": ("ready", None)}


def test_a_fast_clock_of_the_api_does_not_let_the_future_out(night: Night) -> None:
    night.person()
    night.sale("a", ago=timedelta(minutes=-5))
    night.read("first", clock_offset=timedelta(minutes=10))
    assert night.states() == {"a": ("future", None)}


def test_what_waits_expires_at_48_hours_each_with_its_reason(night: Night) -> None:
    night.person("known", "u")
    night.sale("ready", key="known", ago=47 * HOUR)
    night.sale("held", key="stranger", ago=47 * HOUR)
    night.read("first")
    night.sql("DELETE FROM sales")
    night.clock.at = NOW + HOUR
    night.read("at 48 hours", window=Window.up_to(night.clock.at))
    assert {state for state, _ in night.states().values()} == {"ready", "held"}
    night.clock.at += timedelta(milliseconds=1)
    night.read("later", window=Window.up_to(night.clock.at))
    assert night.states() == {"ready": ("expired", "expired_unsent"), "held": ("expired", "expired_unidentified")}
    assert night.row("held").settled_at == night.clock.at


def test_a_row_that_waited_keeps_its_own_reason_when_it_is_read_again_too_late(night: Night) -> None:
    night.sale("a", key="stranger", ago=47 * HOUR)
    night.read("first")
    night.clock.at = NOW + 2 * HOUR
    night.read("second", window=Window.up_to(night.clock.at))
    assert night.states() == {"a": ("expired", "expired_unidentified")}


@pytest.mark.parametrize(("value", "stands", "detail"), [("99", "99.00", None), ("-1", None, "value = -1"), (None, None, None)])
def test_what_expired_follows_the_source_and_keeps_its_own_reason_and_run(
    night: Night, value: str | None, stands: str | None, detail: str | None
) -> None:
    night.sale("a", key="stranger", ago=47 * HOUR)
    night.read("first")
    night.clock.at = NOW + 2 * HOUR
    night.read("second")
    night.sql("UPDATE sales SET value = %s", value)
    night.clock.at = NOW + 3 * HOUR
    run = night.read("third")
    row = night.row("a")
    assert (row.state, row.reason, row.run_id) == ("expired", "expired_unidentified", "second")
    assert row.settled_at == NOW + 2 * HOUR
    assert (row.value, row.detail) == (None if stands is None else Decimal(stands), detail)
    assert night.problems(run) == []


def test_an_expired_row_stays_expired_unless_its_moment_was_wrong(night: Night) -> None:
    night.person()
    night.sale("a", ago=50 * HOUR)
    night.read("first")
    night.sql("UPDATE sales SET value = 99")
    night.read("second")
    assert night.states() == {"a": ("expired", "expired_before_seen")}
    night.sql("UPDATE sales SET occurred_at = %s", NOW - HOUR)
    night.read("third")
    assert night.states() == {"a": ("ready", None)}


def test_a_user_identified_before_the_conversion_wins_over_a_later_one(night: Night) -> None:
    night.person("k1", "long ago", ago=90 * HOUR)
    night.person("k1", "before", ago=2 * HOUR)
    night.person("k1", "after", ago=timedelta(minutes=1))
    night.sale("a", ago=HOUR)
    night.sale("b", ago=3 * HOUR)
    night.read()
    assert (night.row("a").user_id, night.row("b").user_id) == ("before", "long ago")


def test_a_personal_user_id_is_rejected_and_never_written_into_the_ledger(night: Night) -> None:
    night.person("k1", "jane.doe@example.com")
    night.sale("a")
    night.read()
    row = night.row("a")
    assert (row.state, row.reason, row.user_id) == ("rejected", "personal_data_in_user_id", None)
    assert night.sql("SELECT count(*) FROM webflow.conversions c WHERE c::text LIKE '%%jane%%'") == [(0,)]


def test_a_personal_user_id_goes_out_once_the_site_has_another_one(night: Night) -> None:
    night.person("k1", "jane.doe@example.com")
    night.sale("a")
    night.read("first")
    night.sql("UPDATE people SET user_id = 'hash'")
    night.read("second")
    assert night.row("a").user_id == "hash"


@pytest.mark.parametrize("key", ["72349876", "007", "7.0", "1e5", "-1"])
def test_keys_that_look_like_numbers_match_to_the_letter(night: Night, key: str) -> None:
    night.person(key, key)
    night.person("72349876.0", "another")
    night.sale("a", key=key)
    night.read()
    assert night.row("a").user_id == key


def test_more_keys_than_one_query_takes_are_asked_for_in_several(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webflow_conversions.warehouse.reader.KEYS_PER_QUERY", {"postgresql": 7})
    night.sql("INSERT INTO sales SELECT 's' || g, %s, 'k' || g, 1 FROM generate_series(1, 30) g", NOW - HOUR)
    night.sql("INSERT INTO people SELECT 'k' || g, 'crm', 'u' || g, %s FROM generate_series(1, 30) g", NOW)
    night.read()
    assert night.sql(
        "SELECT count(*) FROM webflow.conversions WHERE state = 'ready' AND user_id = 'u' || substr(identity_key, 2)"
    ) == [(30,)]
