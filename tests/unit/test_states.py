"""States and reasons are listed in one place, whole, and each reason has its sentence."""

import re

import pytest

from webflow_conversions.rules.states import (
    EXPLANATIONS,
    FAULTS,
    UNIDENTIFIED,
    Reason,
    ReasonKind,
    State,
    Step,
    explain,
    last_step,
    refused,
)

DESIGNED = {
    "missing_conversion_id", "missing_timestamp", "invalid_timestamp", "unknown_timezone", "ambiguous_local_time",
    "nonexistent_local_time", "missing_event_name", "invalid_event_name", "unknown_goal", "goal_not_yet_created", "goal_renamed",
    "invalid_value", "negative_value", "missing_identity", "unknown_user", "personal_data_in_user_id", "expired_before_seen",
    "expired_unsent", "expired_unidentified", "echo_mismatch",
}  # fmt: skip


def test_the_states_are_the_eight_of_the_design():
    assert {state.value for state in State} == {
        "ready",
        "held",
        "future",
        "sending",
        "accepted",
        "rejected",
        "expired",
        "withdrawn",
    }


def test_the_reasons_of_the_design_are_there_under_their_released_names():
    assert {reason.value for reason in Reason} >= DESIGNED


def test_every_reason_has_an_explanation_and_nothing_else_has():
    assert set(EXPLANATIONS) == set(Reason)


@pytest.mark.parametrize("reason", [*Reason, refused(400), refused(422)])
def test_a_reason_is_one_lower_case_code_with_a_sentence_for_what_it_means_and_one_for_what_to_do(reason):
    explanation = explain(reason)

    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", reason)
    for sentence in (explanation.meaning, explanation.remedy):
        assert re.fullmatch(r"\S.*\.", sentence)


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("unknown_user", State.HELD),
        ("in_doubt", State.SENDING),
        ("expired_before_seen", State.EXPIRED),
        ("expired_unsent", State.EXPIRED),
        ("expired_unidentified", State.EXPIRED),
        ("expired_in_doubt", State.EXPIRED),
        ("missing_timestamp", State.REJECTED),
        ("personal_data_in_user_id", State.REJECTED),
        ("echo_mismatch", State.REJECTED),
        ("refused_404", State.REJECTED),
    ],
)
def test_a_reason_belongs_to_the_state_that_it_explains(reason, state):
    assert explain(reason).state is state


def test_a_refusal_carries_its_status():
    assert refused(422) == "refused_422"
    assert "422" in explain("refused_422").meaning


def test_a_code_that_no_release_has_used_has_no_explanation():
    with pytest.raises(KeyError):
        explain("no_such_reason")


@pytest.mark.parametrize("reason", [*Reason, refused(400)])
def test_every_reason_says_what_it_is_about_and_how_far_the_conversion_came(reason):
    found = explain(reason)
    by_kind = {
        ReasonKind.ROW: {Step.READ},
        ReasonKind.USER: {Step.IN_WINDOW, Step.KNOWN},
        ReasonKind.TIME: {Step.READ, Step.IN_WINDOW, Step.KNOWN, Step.SENT},
        ReasonKind.DELIVERY: {Step.SENT},
        ReasonKind.WITHDRAWAL: {Step.IN_WINDOW},
    }
    assert found.came_to in by_kind[found.kind]
    assert last_step(found.state, reason) == (Step.SENT if found.state is State.SENDING else found.came_to)


def test_the_lists_of_reasons_follow_from_what_each_is_about():
    assert {Reason.MISSING_IDENTITY, Reason.UNKNOWN_GOAL, Reason.INVALID_TIMESTAMP} <= FAULTS
    assert not FAULTS & {Reason.UNKNOWN_USER, Reason.INVALID_USER, Reason.EXPIRED_UNSENT, Reason.ECHO_MISMATCH}
    assert UNIDENTIFIED == {Reason.UNKNOWN_USER, Reason.EXPIRED_UNIDENTIFIED}


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("held", Step.IN_WINDOW),
        ("ready", Step.KNOWN),
        ("sending", Step.SENT),
        ("accepted", Step.ACCEPTED),
        ("future", Step.READ),
        ("missing", Step.READ),
    ],
)
def test_without_a_reason_the_state_says_how_far_a_conversion_came(state, step):
    assert last_step(state, None) is step
