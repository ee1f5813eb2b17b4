"""The demo's comparison of what was foreseen with what the simulator's import credited."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from demo.credit import differences, summary
from demo.simulator.nightly_import import Reading

ALL = tuple(Reading)


def foreseen(action_id: str, attribution: str | None, *readings: Reading) -> SimpleNamespace:
    return SimpleNamespace(
        source="sales", action_id=action_id, value=Decimal(10), attribution=attribution, readings=[str(one) for one in readings]
    )


NIGHT = [
    foreseen("will", "will_count", *ALL),
    foreseen("edge", "may_count", *ALL),
    foreseen("idle", "may_count", Reading.WIDE, Reading.LENIENT),
    foreseen("other", "may_count", Reading.LENIENT),
    foreseen("near", "may_count"),
    foreseen("never", "will_not_count"),
    foreseen("today", "unknown"),
]
CREDITED = {
    Reading.STRICT: {"will", "edge"},
    Reading.WIDE: {"will", "edge", "idle"},
    Reading.LENIENT: {"will", "edge", "idle", "other"},
}


def test_an_import_that_credits_what_was_foreseen_under_each_reading_agrees() -> None:
    assert differences(NIGHT, CREDITED) == []


@pytest.mark.parametrize("reading", Reading)
def test_what_is_unknown_predicts_nothing(reading: Reading) -> None:
    assert differences(NIGHT, CREDITED | {reading: CREDITED[reading] | {"today"}}) == []


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize("name", ["will", "edge"])
def test_what_was_foreseen_and_is_not_credited_is_named(reading: Reading, name: str) -> None:
    assert differences(NIGHT, CREDITED | {reading: CREDITED[reading] - {name}}) == [
        f"1 foreseen, but not credited by the import (reading: {reading}): {name}"
    ]


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize("name", ["never", "near"])
def test_what_is_credited_and_was_not_foreseen_is_named(reading: Reading, name: str) -> None:
    assert differences(NIGHT, CREDITED | {reading: CREDITED[reading] | {name}}) == [
        f"1 credited by the import, but not foreseen (reading: {reading}): {name}"
    ]


def test_a_reading_is_not_taken_for_a_wider_one() -> None:
    assert differences(NIGHT, CREDITED | {Reading.STRICT: CREDITED[Reading.WIDE]}) == [
        "1 credited by the import, but not foreseen (reading: strict): idle"
    ]


def test_a_verdict_counts_whatever_readings_stand_beside_it() -> None:
    assert differences([foreseen("a", "will_count")], dict.fromkeys(Reading, ("a",))) == []
    assert differences([*NIGHT, foreseen("b", "will_not_count", *ALL)], CREDITED) == []


def test_what_was_not_judged_and_what_nobody_sent_is_named() -> None:
    assert differences([*NIGHT, foreseen("mute", None)], CREDITED) == ["1 accepted, but not judged: mute"]
    assert differences(NIGHT, CREDITED | {Reading.LENIENT: CREDITED[Reading.LENIENT] | {"stray"}}) == [
        "1 credited, but not accepted in the ledger: stray"
    ]


def test_a_night_of_which_nothing_counts_shows_nothing() -> None:
    assert differences([foreseen("a", "unknown")], dict.fromkeys(Reading, ("a",))) == [
        "nothing will count, so the import shows nothing"
    ]


def test_the_last_line_says_how_many_were_sent_will_count_and_were_credited() -> None:
    assert summary(NIGHT, CREDITED[Reading.STRICT] | {"today"}) == (
        "7 sent, 1 will count, the import credited these 1, 1 of the 4 that may count, and 1 of 1 unknown"
    )
