"""The rate limit holds in every second, whatever the number of workers and whatever holds them up."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from webflow_conversions.delivery.rate_limit import PERMIT_SECONDS, RateLimit

STEP_SECONDS = 0.01
CONNECT_SECONDS = 10.0


class Ledger:
    """Hands out permits, one after the other."""

    def __init__(self) -> None:
        self.next_permit_at = 0.0

    def reserve(self, now: float, number: int, seconds_apart: float) -> float:
        first = max(self.next_permit_at, now)
        self.next_permit_at = first + number * seconds_apart
        return first


def sent_by(workers: int, requests_per_second: float, seconds: int, dice: random.Random) -> list[float]:
    """When requests left: each worker looks every some milliseconds, and rests now and then, with permits in hand."""
    ledger, sent = Ledger(), []
    limits = [RateLimit(requests_per_second, CONNECT_SECONDS) for _ in range(workers)]
    looks_at = [0.0] * workers
    for step in range(int(seconds / STEP_SECONDS)):
        now = step * STEP_SECONDS
        for worker, own in enumerate(limits):
            if now < looks_at[worker]:
                continue
            looks_at[worker] = now + (dice.uniform(0.3, 2.0) if dice.random() < 0.01 else 0.0)
            number = own.missing(max(int(requests_per_second * 0.25), 1), now)
            if number:
                own.add(ledger.reserve(now, number, own.seconds_apart), number)
            usable = own.usable(now)
            sent += [now] * usable
            assert all(own.use(now) for _ in range(usable))
    return sorted(sent)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("requests_per_second", [0.5, 3.0, 50.0, 333.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_second_has_more_requests_than_the_rate_limit(workers: int, requests_per_second: float, seed: int) -> None:
    sent = sent_by(workers, requests_per_second, 30, random.Random(seed))
    most = max(sum(1 for other in sent[place:] if other < moment + 1) for place, moment in enumerate(sent))
    assert most <= max(requests_per_second, 1)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_workers_that_are_not_held_up_use_nearly_all_of_it(workers: int) -> None:
    dice = random.Random(0)
    dice.random = lambda: 1.0
    assert len(sent_by(workers, 50.0, 30, dice)) >= 0.9 * 50 * 30


def left_late(workers: int, requests_per_second: float, seconds: int, connecting: Callable[[], float]) -> tuple[list[float], int]:
    """When requests left whose connection has to come about first, and how many were withheld."""
    ledger, sent, withheld = Ledger(), [], 0
    limits = [RateLimit(requests_per_second, CONNECT_SECONDS) for _ in range(workers)]
    ready_at: list[float | None] = [None] * workers
    for step in range(int(seconds / STEP_SECONDS)):
        now = step * STEP_SECONDS
        for worker, own in enumerate(limits):
            number = own.missing(1, now)
            if number:
                own.add(ledger.reserve(now, number, own.seconds_apart), number)
            ready = ready_at[worker]
            if ready is None and own.usable(now):
                ready_at[worker] = now + connecting()
            elif ready is not None and ready <= now:
                ready_at[worker] = None
                if own.use(now):
                    sent.append(now)
                else:
                    withheld += 1
    return sorted(sent), withheld


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("requests_per_second", [0.5, 1.0, 4.0, 10.0, 20.0, 50.0])
@pytest.mark.parametrize("connecting", [0.06, 0.15, 0.2, 0.3, 1.7, None])
def test_connections_that_come_about_late_get_a_permit_and_the_rate_limit_holds(
    workers: int, requests_per_second: float, connecting: float | None
) -> None:
    dice = random.Random(0)
    sent, withheld = left_late(
        workers, requests_per_second, 120, lambda: dice.uniform(0, 2) if connecting is None else connecting
    )

    most = max(sum(1 for other in sent[place:] if other < moment + 1) for place, moment in enumerate(sent))
    assert most <= max(requests_per_second, 1)
    assert len(sent) >= 20
    assert withheld <= 2 * len(sent)


def test_more_permits_than_requests_are_asked_for_only_while_connections_come_about_late() -> None:
    rate_limit = RateLimit(1.0, CONNECT_SECONDS)
    for now in (0.0, 10.0, 30.0):
        assert not rate_limit.use(now)
    assert rate_limit.missing(1, 30.0) == 8
    rate_limit.add(100.0, 8)
    for place in range(8):
        assert rate_limit.use(100.0 + place * rate_limit.seconds_apart)
    assert rate_limit.missing(1, 200.0) == 1


def test_a_permit_that_was_missed_is_lost() -> None:
    rate_limit = RateLimit(10.0, CONNECT_SECONDS)
    rate_limit.add(1.0, 3)
    apart = rate_limit.seconds_apart
    assert rate_limit.next_at(1.0 + PERMIT_SECONDS / 2) == 1.0
    assert rate_limit.next_at(1.0 + PERMIT_SECONDS * 1.5) == pytest.approx(1.0 + apart)
    assert rate_limit.use(1.0 + apart)
    assert rate_limit.next_at(1.0) == pytest.approx(1.0 + 2 * apart)
    assert rate_limit.next_at(9.0) is None


def test_permits_lie_evenly() -> None:
    rate_limit, moments = RateLimit(20.0, CONNECT_SECONDS), []
    rate_limit.add(5.0, 4)
    while (moment := rate_limit.next_at(0.0)) is not None:
        moments.append(moment)
        assert rate_limit.use(moment)
    assert [after - before for before, after in pairwise(moments)] == pytest.approx([(1 + PERMIT_SECONDS) / 20] * 3)


def test_without_a_rate_limit_there_is_always_a_permit() -> None:
    rate_limit = RateLimit(None, CONNECT_SECONDS)
    assert rate_limit.use(7.0)
    assert rate_limit.usable(7.0) > 1_000_000
    assert rate_limit.missing(100, 1.0) == 0
    assert rate_limit.next_at(7.0) == 7.0
