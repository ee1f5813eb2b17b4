"""A conversion counts only for a goal that had its event name then and has it still."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from webflow_conversions.rules.goals import check_goals
from webflow_conversions.rules.source import Goal
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.window import to_milliseconds

NOW = datetime(2026, 3, 14, 22, tzinfo=UTC)
CREATED = datetime(2026, 3, 13, 9, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def check(goals, *rows, now=NOW):
    """The reasons for rows of event name and moment."""
    names, moments = zip(*rows, strict=True)
    milliseconds = np.array([to_milliseconds(moment) for moment in moments], dtype=np.int64)
    return check_goals(pd.Series(names, dtype=object), milliseconds, goals, now).tolist()


def goal(valid_from, valid_to, name="sale"):
    return Goal(event_name=name, valid_from=valid_from, valid_to=valid_to)


def test_a_goal_takes_what_happened_from_its_creation_on_to_the_millisecond():
    assert check([goal(CREATED, None)], ("sale", CREATED - MILLISECOND), ("sale", CREATED), ("sale", NOW)) == [
        Reason.GOAL_NOT_YET_CREATED,
        None,
        None,
    ]


def test_a_goal_that_was_renamed_since_takes_nothing_not_even_from_before():
    renamed = datetime(2026, 3, 14, 12, tzinfo=UTC)

    assert (
        check([goal(CREATED, renamed)], ("sale", CREATED + MILLISECOND), ("sale", renamed), ("sale", NOW))
        == [Reason.GOAL_RENAMED] * 3
    )


def test_a_goal_that_is_renamed_at_this_moment_has_lost_its_name():
    assert check([goal(CREATED, NOW)], ("sale", CREATED)) == [Reason.GOAL_RENAMED]
    assert check([goal(CREATED, NOW + MILLISECOND)], ("sale", CREATED)) == [None]


def test_a_goal_whose_end_lies_ahead_takes_what_happens_before_it():
    end = NOW + timedelta(hours=1)

    assert check([goal(CREATED, end)], ("sale", NOW), ("sale", end - MILLISECOND), ("sale", end)) == [
        None,
        None,
        Reason.GOAL_RENAMED,
    ]


def test_the_new_name_does_not_count_for_a_moment_before_the_rename_and_the_old_name_does_not_count_any_more():
    renamed = datetime(2026, 3, 14, 12, tzinfo=UTC)
    goals = [goal(CREATED, renamed, "sale"), goal(renamed, None, "purchase")]

    assert check(goals, ("purchase", renamed - MILLISECOND), ("purchase", renamed), ("sale", renamed - MILLISECOND)) == [
        Reason.GOAL_NOT_YET_CREATED,
        None,
        Reason.GOAL_RENAMED,
    ]


def test_between_two_times_in_which_goals_had_the_name_nothing_counts():
    lost, again = CREATED + timedelta(hours=1), CREATED + timedelta(hours=3)
    goals = [goal(again, None), goal(CREATED, lost)]

    assert check(goals, ("sale", lost), ("sale", again - MILLISECOND)) == [Reason.GOAL_RENAMED] * 2
    assert check(goals, ("sale", again), ("sale", CREATED - MILLISECOND)) == [None, Reason.GOAL_NOT_YET_CREATED]


def test_of_two_goals_of_one_name_either_is_enough():
    later = CREATED + timedelta(hours=6)

    assert check([goal(later, None), goal(CREATED, None)], ("sale", CREATED)) == [None]


def test_open_ends_take_everything():
    assert check([goal(None, None)], ("sale", datetime(1, 1, 1, tzinfo=UTC)), ("sale", datetime(9999, 12, 31, tzinfo=UTC))) == [
        None,
        None,
    ]


@pytest.mark.parametrize("name", ["Sale", "SALE", "sale ", "sales", "", None])
def test_the_name_must_be_a_goals_to_the_letter(name):
    assert check([goal(None, None)], (name, NOW)) == [Reason.UNKNOWN_GOAL]


def test_with_an_empty_list_of_goals_no_name_is_known():
    assert check([], ("sale", NOW)) == [Reason.UNKNOWN_GOAL]


def test_rows_of_several_names_are_judged_each_by_its_own_goal():
    goals = [goal(CREATED, None, "sale"), goal(None, CREATED, "lead")]

    assert check(goals, ("lead", CREATED), ("sale", CREATED), ("other", CREATED), ("sale", CREATED - MILLISECOND)) == [
        Reason.GOAL_RENAMED,
        None,
        Reason.UNKNOWN_GOAL,
        Reason.GOAL_NOT_YET_CREATED,
    ]


def test_no_rows_have_no_reasons():
    assert check_goals(pd.Series([], dtype=object), np.array([], dtype=np.int64), [goal(None, None)], NOW).tolist() == []


def test_a_chunk_is_gone_over_once_for_each_name_of_a_goal_however_many_names_are_in_it(monkeypatch):
    compared = []
    equal = pd.Series.__eq__
    monkeypatch.setattr(pd.Series, "__eq__", lambda series, other: (compared.append(other), equal(series, other))[1])
    rows = [(f"order-{number}", NOW) for number in range(500)] + [("sale", NOW), (None, NOW), ("lead", NOW)]

    reasons = check([goal(CREATED, None, "sale"), goal(None, CREATED, "sale"), goal(None, None, "lead")], *rows)

    assert sorted(compared) == ["lead", "sale"]
    assert reasons == [Reason.UNKNOWN_GOAL] * 500 + [None, Reason.UNKNOWN_GOAL, None]
