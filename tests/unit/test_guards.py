"""A run that looks wrong is objected to before it sends, in a sentence with the counts; an ordinary one is not."""

from decimal import Decimal

import pytest

from webflow_conversions.pipeline.guards import Earlier, Limits, SourceCounts, objections
from webflow_conversions.rules.amounts import Amount

LIMITS = Limits(volume_factor=5, value_factor=10, rejected_share=0.5, min_rows=200, empty_source=True)


def counts(read=1_000, recorded=1_000, rejected=0, to_send=1_000, value="50000"):
    return SourceCounts(
        read_rows=read, recorded_rows=recorded, rejected_rows=rejected, to_send=Amount(rows=to_send, value=Decimal(value))
    )


def runs(*sent_rows, value="50000", read=1_000):
    return [Earlier(read_rows=read, sent=Amount(rows=rows, value=Decimal(value))) for rows in sent_rows]


def object_to(now, earlier=(), limits=LIMITS, *, whole_window=True):
    return objections({"shop": now}, {"shop": earlier} if earlier else {}, limits, whole_window=whole_window)


def changed(**limits):
    return Limits(**{name: limits.get(name, getattr(LIMITS, name)) for name in Limits.__slots__})


def test_a_run_like_its_predecessors_is_not_objected_to():
    assert object_to(counts(), runs(900, 1_000, 1_100)) == []


# Volume


def test_more_than_so_many_times_the_fullest_of_the_last_runs_is_too_much():
    assert object_to(counts(to_send=5_000), runs(10, 1_000, 20)) == []
    assert object_to(counts(to_send=5_001), runs(10, 1_000, 20)) == [
        "shop has 5,001 conversions to send, more than 5 times the 1,000 of its fullest of the last 3 runs (guards.volume_factor)"
    ]


def test_fewer_than_three_runs_say_nothing_about_what_is_usual():
    assert object_to(counts(to_send=10**6, value="1e9"), runs(10, 10)) == []
    assert object_to(counts(to_send=10**6, value="1e9")) == []


def test_few_rows_are_never_too_many():
    assert object_to(counts(to_send=199), runs(1, 1, 1)) == []
    assert len(object_to(counts(to_send=200), runs(1, 1, 1))) == 1


def test_runs_that_sent_nothing_say_nothing_about_what_is_usual():
    assert object_to(counts(to_send=5_000), runs(0, 0, 0, value="0")) == []


# Money


def test_many_times_the_usual_money_is_too_much_even_in_few_conversions_more():
    assert object_to(counts(value="500000.00"), runs(1_000, 1_000, 1_000)) == []
    assert object_to(counts(value="500000.01"), runs(1_000, 1_000, 1_000)) == [
        "shop has a value of 500,000.01 to send, more than 10 times the 50,000.00 of its richest of the last 3 runs (guards.value_factor)"
    ]


def test_a_source_without_money_is_not_measured_by_it():
    assert object_to(counts(value="1"), runs(1_000, 1_000, 1_000, value="0")) == []


def test_conversions_that_are_each_worth_many_times_the_usual_are_objected_to_however_few_they_are():
    usual = runs(20, 30, 25, value="1000")
    assert object_to(counts(to_send=10, value="5000.00"), usual) == []
    (sentence,) = object_to(counts(to_send=10, value="5000.10"), usual)
    assert sentence == (
        "shop has conversions to send that are worth 500.01 each, more than 10 times the 50.00 of its dearest of the last 3 runs "
        "(guards.value_factor)"
    )


def test_a_handful_of_conversions_say_nothing_about_what_each_is_worth():
    assert object_to(counts(to_send=9, value="1e6"), runs(20, 30, 25, value="1000")) == []
    assert object_to(counts(to_send=10, value="1e6"), runs(9, 9, 9, value="1000")) == []


# Rejections


def test_more_than_a_share_of_rejected_rows_is_too_much():
    assert object_to(counts(rejected=500)) == []
    assert object_to(counts(rejected=501)) == [
        "501 of 1,000 conversions of shop are rejected (50%), more than 50% (guards.rejected_share)"
    ]


def test_in_a_handful_of_rows_a_share_says_nothing():
    assert object_to(counts(recorded=199, rejected=199)) == []
    assert len(object_to(counts(recorded=200, rejected=200))) == 1


def test_a_source_of_which_nothing_was_recorded_has_no_share():
    assert object_to(counts(recorded=0, rejected=0, to_send=0)) == []


# Emptiness


def test_no_rows_at_all_where_there_always_were_some_is_objected_to():
    nothing = counts(read=0, recorded=0, to_send=0)

    assert object_to(nothing, runs(5, 0, 7)) == [
        "shop returned no rows at all, and in each of the last 3 runs it did (guards.empty_source)"
    ]
    assert object_to(nothing, [*runs(5, 5), Earlier(read_rows=0, sent=Amount())]) == []
    assert object_to(nothing, runs(5, 5)) == []


def test_a_reading_that_failed_says_nothing_of_what_there_always_was():
    nothing, unread = counts(read=0, recorded=0, to_send=0), Earlier(read_rows=None, sent=Amount())

    assert object_to(nothing, [unread, *runs(5, 6, 7)]) == [
        "shop returned no rows at all, and in each of the last 3 runs it did (guards.empty_source)"
    ]
    assert object_to(nothing, [unread, *runs(5, 6)]) == []


def test_a_run_for_one_date_may_find_nothing():
    assert object_to(counts(read=0, recorded=0, to_send=0), runs(5, 5, 5), whole_window=False) == []


def test_a_source_that_could_not_be_read_is_not_called_empty():
    assert object_to(counts(read=None, recorded=0, to_send=0), runs(5, 5, 5)) == []


# All of it


@pytest.mark.parametrize(
    ("guard", "now"),
    [
        ("volume_factor", counts(to_send=10**6)),
        ("value_factor", counts(value="1e9")),
        ("rejected_share", counts(rejected=1_000)),
        ("empty_source", counts(read=0, recorded=0, to_send=0)),
    ],
)
def test_each_guard_names_itself_and_can_be_switched_off_alone(guard, now):
    (objection,) = object_to(now, runs(1_000, 1_000, 1_000))

    assert objection.endswith(f"(guards.{guard})")
    assert object_to(now, runs(1_000, 1_000, 1_000), changed(**{guard: None if guard != "empty_source" else False})) == []


def test_a_share_of_zero_objects_to_the_first_rejected_row():
    assert len(object_to(counts(rejected=1), limits=changed(rejected_share=0.0))) == 1
    assert object_to(counts(rejected=0), limits=changed(rejected_share=0.0)) == []


def test_every_source_is_measured_by_its_own_past_and_every_objection_is_told():
    found = objections(
        {"shop": counts(to_send=6_000, rejected=600, value="600000"), "crm": counts(), "new": counts(to_send=10**6)},
        {"shop": runs(1_000, 1_000, 1_000), "crm": runs(900, 900, 900)},
        LIMITS,
        whole_window=True,
    )

    assert [objection.split("(guards.")[1] for objection in found] == ["rejected_share)", "volume_factor)", "value_factor)"]
    assert all("shop" in objection for objection in found)
