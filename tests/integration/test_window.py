"""The 2 days and the present, at extraction and again before every attempt, by the more careful of two clocks."""

from dataclasses import replace
from datetime import timedelta

import pytest

from demo.simulator import SimulatorProcess
from tests.night import NOW, Night
from webflow_conversions.rules.window import Window

MILLISECOND, MINUTE, HOUR = timedelta(milliseconds=1), timedelta(minutes=1), timedelta(hours=1)


def sent(simulator: SimulatorProcess) -> set[str]:
    return {action_id.rsplit("/", 1)[1] for action_id in simulator.action_ids()}


def test_48_hours_to_the_millisecond_are_sent_and_one_more_is_not(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("just", ago=48 * HOUR)
    night.sale("over", ago=48 * HOUR + MILLISECOND)
    night.sale("now", ago=MILLISECOND)
    night.sale("soon", ago=-MILLISECOND)
    night.push(night.read(window=Window(start=NOW - 50 * HOUR, end=NOW + HOUR)), simulator.url)
    assert night.states() == {
        "just": ("accepted", None),
        "over": ("expired", "expired_before_seen"),
        "now": ("accepted", None),
        "soon": ("future", None),
    }
    assert sent(simulator) == {"just", "now"}


def test_what_was_in_time_when_it_was_read_is_judged_again_before_it_is_sent(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    for hours in (47, 48):
        night.sale(f"of {hours} hours", ago=hours * HOUR)
    run = night.read()
    night.clock.at = NOW + MILLISECOND
    night.push(run, simulator.url)
    assert sent(simulator) == {"of%2047%20hours"}
    night.push(run, simulator.url)
    assert night.row("of 48 hours").attempts == 0


def test_a_run_that_lasts_across_the_edge_ends_with_what_it_lost(night: Night, simulator: SimulatorProcess) -> None:
    run = night.ready(3)
    queue = night.queue(run)
    committed = queue.claim

    def claim(*arguments):
        claimed = committed(*arguments)
        night.clock.at = NOW + 8 * HOUR + timedelta(milliseconds=2.5)  # c1 and c2 happened 40 hours ago, and 1 and 2 milliseconds
        return claimed

    queue.claim = claim
    night.push(run, simulator.url, ledger=queue, settings={"concurrency": 1})
    assert night.states() == {"c1": ("expired", "expired_unsent"), "c2": ("expired", "expired_unsent"), "c3": ("accepted", None)}
    assert night.problems(run) == ["sales: 2 conversions (2.00) grew older than 2 days without being accepted (expired_unsent)"]


def test_the_future_of_one_run_is_the_present_of_the_next(night: Night, simulator: SimulatorProcess) -> None:
    night.person()
    night.sale("a", ago=-90 * MINUTE)
    run = night.read("22:00")
    night.push(run, simulator.url)
    assert night.problems(run) == []
    assert sent(simulator) == set()
    night.clock.at = NOW + 90 * MINUTE
    night.push(night.read("23:30", window=Window(start=NOW - HOUR, end=NOW + 2 * HOUR)), simulator.url)
    assert sent(simulator) == {"a"}


@pytest.mark.parametrize(("offset", "goes_out"), [(-10 * MINUTE, False), (timedelta(), True), (10 * MINUTE, True)])
def test_where_the_api_s_clock_is_slow_what_it_would_take_for_the_future_waits(
    night: Night, simulator: SimulatorProcess, offset: timedelta, goes_out: bool
) -> None:
    night.person()
    night.sale("a", ago=5 * MINUTE)
    run = replace(night.read("at first by our clock"), clock_offset=offset)
    night.push(run, simulator.url, settings={"clock_offset": offset})
    assert sent(simulator) == ({"a"} if goes_out else set())
    night.extract(night.begin("by both", clock_offset=offset))
    assert night.row("a").state == ("accepted" if goes_out else "ready")


def test_by_a_slow_clock_of_the_api_what_is_due_goes_out_to_the_millisecond(night: Night, simulator: SimulatorProcess) -> None:
    offset = -10 * MINUTE
    night.person()
    night.sale("just", ago=-offset)
    run = night.read(clock_offset=offset)
    night.push(run, simulator.url, settings={"clock_offset": offset})
    assert sent(simulator) == {"just"}
    assert night.problems(run) == []


@pytest.mark.parametrize("offset", [-10 * MINUTE, 10 * MINUTE])
def test_an_age_is_measured_by_our_clock_alone(night: Night, simulator: SimulatorProcess, offset: timedelta) -> None:
    night.person()
    night.sale("just", ago=48 * HOUR)
    night.sale("over", ago=48 * HOUR + MILLISECOND)
    run = night.read(clock_offset=offset)
    night.push(run, simulator.url, settings={"clock_offset": offset})
    assert sent(simulator) == {"just"}
    assert night.states()["over"] == ("expired", "expired_before_seen")
