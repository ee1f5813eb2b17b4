"""The pace doubles until the first trouble, then feels its way; a rest is kept by all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webflow_conversions.delivery.concurrency import BACKOFF_CAP_SECONDS, Pace, backoff_seconds


def pace(most=256, chance=0.5, **more):
    return Pace(most=most, timeout_seconds=30, now=0.0, chance=lambda: chance, **more)


def clean_round(subject, seconds=0.1):
    """As many quick answers as may be out at once."""
    for _ in range(subject.limit):
        subject.clean(seconds)


# How many at once


def test_it_starts_small_and_doubles_with_every_round_of_clean_answers_up_to_the_most():
    subject, limits = pace(most=100), []
    for _ in range(6):
        limits.append(subject.limit)
        clean_round(subject)

    assert limits == [8, 16, 32, 64, 100, 100]


@pytest.mark.parametrize("most", [1, 2, 7])
def test_it_never_exceeds_the_most_not_even_at_first(most):
    subject = pace(most=most)
    assert subject.limit == most
    clean_round(subject)
    assert subject.limit == most


def test_trouble_halves_it_and_from_then_on_it_grows_by_one_a_round():
    subject = pace()
    clean_round(subject)
    clean_round(subject)
    subject.slow_down(started_at=1.0, now=2.0)
    assert subject.limit == 16

    grown = 0.0
    for _ in range(10):
        before = subject.limit
        clean_round(subject)
        assert subject.limit - before <= 1
        grown += subject.limit - before
    assert 9 <= grown <= 10


def test_it_is_halved_once_for_all_requests_that_were_out_together():
    subject = pace(first=64)
    for _ in range(64):
        subject.slow_down(started_at=1.0, now=2.0)
    assert subject.limit == 32

    subject.slow_down(started_at=1.9, now=3.0)  # had left before the halving
    assert subject.limit == 32
    subject.slow_down(started_at=2.5, now=4.0)  # left after it
    assert subject.limit == 16


def test_one_request_may_always_be_out():
    subject = pace()
    for second in range(1, 50):
        subject.slow_down(started_at=second, now=second)

    assert subject.limit == 1
    clean_round(subject)
    assert subject.limit == 2


def test_a_slow_answer_does_not_make_it_faster():
    subject = pace()
    clean_round(subject, seconds=15.1)  # more than half of the time-out
    assert subject.limit == 8
    clean_round(subject, seconds=15.0)
    assert subject.limit == 16


@given(
    st.integers(1, 1_000),
    st.lists(st.tuples(st.sampled_from(["clean", "slow", "slow_down", "rest"]), st.floats(0, 10)), max_size=200),
)
def test_whatever_happens_it_stays_between_one_and_the_most(most, events):
    subject, now = pace(most=most), 0.0
    for what, seconds in events:
        now += seconds
        match what:
            case "clean":
                subject.clean(0.1)
            case "slow":
                subject.clean(29)
            case "slow_down":
                subject.slow_down(started_at=now - seconds / 2, now=now)
            case "rest":
                subject.rest(started_at=now - seconds / 2, now=now, asked_seconds=None)
        assert 1 <= subject.limit <= most


# Rests


def test_a_rest_is_as_long_as_was_asked():
    subject = pace()

    assert subject.rest(started_at=1.0, now=2.0, asked_seconds=30.0) == 30.0
    assert subject.rest_until == 32.0
    assert subject.limit == 4


def test_a_rest_of_no_seconds_is_none():
    subject = pace()

    assert subject.rest(started_at=1.0, now=2.0, asked_seconds=0.0) == 0.0
    assert subject.rest_until == 2.0


def test_a_shorter_rest_does_not_cut_a_longer_one():
    subject = pace()
    subject.rest_for(60, now=0)
    subject.rest_for(1, now=10)
    subject.rest(started_at=1.0, now=11.0, asked_seconds=5.0)

    assert subject.rest_until == 60


def test_without_a_wish_the_rest_doubles_with_every_trouble_in_a_row_and_a_clean_answer_forgets_them():
    subject = pace(chance=1.0)
    rests = [subject.rest(started_at=second, now=second + 0.5, asked_seconds=None) for second in (1, 2, 3)]
    subject.clean(0.1)

    assert rests == [1, 2, 4]
    assert subject.rest(started_at=9.0, now=9.5, asked_seconds=None) == 1


def test_requests_that_were_out_together_are_one_trouble():
    subject = pace(chance=1.0)
    rests = [subject.rest(started_at=1.0, now=2.0 + part / 10, asked_seconds=None) for part in range(8)]

    assert rests == [1] * 8


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_back_off_is_anything_up_to_twice_as_long_after_each_failure_and_at_most_a_minute(failures, chance):
    longest = backoff_seconds(failures, lambda: 1.0)

    assert longest == min(BACKOFF_CAP_SECONDS, 2 * backoff_seconds(failures - 1, lambda: 1.0)) <= 60
    assert backoff_seconds(failures, lambda: 0.0) == 0
    assert backoff_seconds(failures, lambda: chance) == chance * longest
