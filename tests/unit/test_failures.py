"""Why a task failed, as people are told it: the sentence of an error, its task, and nothing of anybody's data."""

import json
from datetime import UTC, datetime

import pytest

from webflow_conversions.errors import Stopped, Unavailable, Unfinished
from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.pipeline.failures import Failure, causes_of, failures_of, sentence_of
from webflow_conversions.pipeline.verdict import Finding, Verdict, causes

AT = datetime(2026, 3, 14, 22, 1, tzinfo=UTC)


def failure(**fields):
    given = {"task": "plan", "error": "Unusable", "sentence": "No.", "at": AT, "try_number": 1, "is_last_try": True}
    return Failure(**{**given, **fields})


def test_an_error_of_ours_is_its_sentence():
    assert sentence_of(Stopped("Webflow refuses the token (HTTP 401): put another in.")) == (
        "Webflow refuses the token (HTTP 401): put another in."
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("u-4711-anna"), "Something unexpected happened: KeyError."),
        (ValueError("no user anna@example.com here\nat line 3"), "Something unexpected happened: ValueError."),
        (ValueError('no bigint: "7234"'), "Something unexpected happened: ValueError."),
        (RuntimeError("postgresql://role:secret@host/db is away"), "Something unexpected happened: RuntimeError."),
        (RuntimeError("customer 72349876 twice."), "Something unexpected happened: RuntimeError."),
        (MemoryError(), "Something unexpected happened: MemoryError."),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_of_any_other_error_nothing_is_told_that_may_be_data(error, sentence):
    assert sentence_of(error) == sentence


@pytest.mark.parametrize(
    ("about", "key", "said"),
    [
        ({"task": "plan"}, "plan", "plan: No"),
        ({"task": "extract", "source": "shop", "map_index": 0}, "extract[0]", "extract of shop: No"),
        ({"task": "push", "destination": "webflow_default", "map_index": 3}, "push[3]", "push to webflow_default: No"),
    ],
    ids=["plan", "extract", "push"],
)
def test_a_failure_says_which_task_it_is_of_and_about_what(about, key, said):
    found = failure(**about)

    assert (found.key, found.cause) == (key, said)
    assert failures_of(json.loads(json.dumps({found.key: found.to_json()}))) == [found]


def test_the_errors_behind_an_error_are_told_the_nearest_first_up_to_one_in_whose_place_another_was_raised():
    def fail() -> None:
        try:
            try:
                try:
                    raise KeyError("anna@example.com")
                except KeyError:
                    raise OSError("third") from None
            except OSError as error:
                raise ValueError("second") from error
        except ValueError:
            raise Unavailable("first")  # noqa: B904

    with pytest.raises(Unavailable) as raised:
        fail()
    assert [str(cause) for cause in causes_of(raised.value)] == ["second", "third"]


def test_what_a_task_said_comes_before_what_the_verdict_found_and_each_only_once():
    push = failure(task="push", sentence="HTTP 503.")
    in_verdict = Finding(cause=Cause.TASK_FAILED, level=Level.FAILED, source="", sentence="push: HTTP 503")
    unsent = Finding(cause=Cause.NOT_SENT, level=Level.FAILED, source="shop", sentence="shop: 3 ready, not sent")
    noted = Finding(cause=Cause.REJECTED, level=Level.NOTE, source="shop", sentence="shop: 1 of 9 cannot be sent")
    reconcile = failure(task="reconcile", error=Unfinished.__name__, sentence="The run is not complete: …")

    found = causes(Verdict(findings=(in_verdict, unsent, noted)), [failure(), push, push, reconcile])

    assert [finding.sentence for finding in found] == ["plan: No", "push: HTTP 503", "shop: 3 ready, not sent"]
    assert [finding.sentence for finding in causes(None, [push, reconcile])] == [
        "push: HTTP 503",
        "reconcile: The run is not complete: …",
    ]
