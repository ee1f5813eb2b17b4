"""States and reasons are listed in one place, whole, and each reason has its sentence."""

import re

import pytest

from webflow_conversions.rules.states import (
    EXPLANATIONS,
    Reason,
    State,
    came_from_delivery,
    explain,
    refused,
)

DESIGNED = {
    "missing_conversion_id", "missing_timestamp", "invalid_timestamp", "unknown_timezone", "ambiguous_local_time",
    "nonexistent_local_time", "missing_event_name", "invalid_event_name", "unknown_goal", "goal_not_yet_created", "goal_renamed",
    "invalid_value", "negative_value", "missing_identity", "unknown_user", "personal_data_in_user_id", "expired_before_seen",
    "expired_unsent", "expired_unidentified", "echo_mismatch",
}  # fmt: skip


def test_the_states_are_the_seven_of_the_design():
    assert {state.value for state in State} == {"ready", "held", "future", "sending", "accepted", "rejected", "expired"}


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


def test_only_the_word_of_the_api_or_of_a_person_came_from_delivery():
    assert {reason for reason in [*Reason, refused(400), None] if came_from_delivery(reason)} == {
        "refused_400",
        Reason.ECHO_MISMATCH,
        Reason.WRITTEN_OFF,
    }
