"""A run is good only if it did what it is for: each finding has its cause in words, its rows and money, and its level."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from webflow_conversions.configuration import Guards
from webflow_conversions.documents.verdicts import page
from webflow_conversions.pipeline.causes import CAUSES, Cause, Level
from webflow_conversions.pipeline.failures import Failure
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.judgement import Ended, Evidence, judge, volume_in_words
from webflow_conversions.pipeline.reconciliation import MISSING, Altered, PushAccount, SourceAccount
from webflow_conversions.pipeline.verdict import Verdict, of_night, unread
from webflow_conversions.rules.amounts import Amount, Tally

AT = datetime(2026, 11, 23, 22, tzinfo=UTC)


def amount(rows, value="0"):
    return Amount(rows=rows, value=Decimal(value))


def account(**changes):
    """An account in order: 10 rows read, 7 recorded of which 5 were sent."""
    return SourceAccount(
        **{
            "tally": Tally(
                read=amount(10, "100.00"),
                recorded=amount(7, "70.00"),
                duplicates=amount(1, "10.00"),
                outside=amount(1, "10.00"),
                too_old=amount(1, "10.00"),
            ),
            "states": {
                ("accepted", None): amount(5, "50.00"),
                ("held", "unknown_user"): amount(1, "20.00"),
                ("rejected", "invalid_value"): amount(1),
            },
            "sent": amount(5, "50.00"),
            **changes,
        }
    )


def ended(source, reason, amount, words=None, had_time=True):
    state = "rejected" if reason.startswith("refused") or reason == "echo_mismatch" else "expired"
    return Ended(source=source, state=state, reason=reason, words=words, had_time=had_time, amount=amount)


PUSHED = [PushAccount(is_complete=True, accepted=3), PushAccount(is_complete=True, accepted=2)]


def verdict(accounts, pushes=(), *, limits=None, **evidence):
    return judge(Evidence(accounts=accounts, pushes=pushes, **evidence), Limits(**Guards(**(limits or {})).model_dump()))


def told(accounts, pushes, ended=()):
    return [finding.sentence for finding in verdict(accounts, pushes, ended=ended).findings if finding.level is Level.FAILED]


def test_a_run_in_order_has_no_problems():
    assert told({"shop": account()}, PUSHED) == []


def test_what_is_held_rejected_expired_or_in_the_future_is_no_problem():
    states = {
        ("held", "unknown_user"): amount(2),
        ("rejected", "refused_422"): amount(2),
        ("expired", "expired_unsent"): amount(2),
        ("future", None): amount(1),
    }
    tally = Tally(read=amount(7), recorded=amount(7))

    assert told({"shop": account(tally=tally, states=states, sent=Amount())}, []) == []


def test_a_row_that_is_not_accounted_for_is_noticed():
    tally = Tally(read=amount(10, "100"), recorded=amount(7, "70.00"), duplicates=amount(2, "30"))

    assert told({"shop": account(tally=tally)}, PUSHED) == [
        "shop: 10 conversions (100.00) read, but 9 conversions (100.00) accounted for"
    ]


def test_a_cent_that_is_not_accounted_for_is_noticed():
    tally = Tally(read=amount(7, "70.01"), recorded=amount(7, "70.00"))

    assert told({"shop": account(tally=tally)}, PUSHED) == [
        "shop: 7 conversions (70.01) read, but 7 conversions (70.00) accounted for"
    ]


@pytest.mark.parametrize(
    ("accepted", "sentence"),
    [
        (amount(4, "50.00"), "shop: 7 conversions (70.00) recorded, but 6 conversions (70.00) in the run's states"),
        (amount(6, "50.00"), "shop: 7 conversions (70.00) recorded, but 8 conversions (70.00) in the run's states"),
        (amount(5, "49.99"), "shop: 7 conversions (70.00) recorded, but 7 conversions (69.99) in the run's states"),
    ],
)
def test_a_row_or_a_cent_that_is_in_no_state_or_in_two_is_noticed(accepted, sentence):
    states = {**account().states, ("accepted", None): accepted}

    assert told({"shop": account(states=states)}, PUSHED) == [sentence]


def test_a_row_that_is_gone_from_the_ledger_is_noticed():
    states = {("accepted", None): amount(5, "50.00"), (MISSING, None): amount(2, "20.00")}

    assert told({"shop": account(states=states)}, PUSHED) == ["shop: 2 conversions (20.00) recorded, but gone from the ledger"]


def test_money_that_is_not_in_the_ledger_as_it_was_read_is_noticed():
    altered = Altered(rows=2, read_value=Decimal(30), value=Decimal("31.01"))

    assert told({"shop": account(altered=altered)}, PUSHED) == [
        "shop: 2 conversions (31.01) in the ledger, but read with a value of 30.00"
    ]


def test_money_that_was_altered_to_and_fro_is_noticed_though_the_sum_is_the_same():
    assert len(told({"shop": account(altered=Altered(rows=2, read_value=Decimal(30), value=Decimal(30)))}, PUSHED)) == 1


def test_what_grew_too_old_without_being_accepted_is_a_problem_whatever_source_the_run_was_for():
    lost = [ended("shop", "expired_unsent", amount(2, "20")), ended("crm", "expired_in_doubt", amount(1, "5"))]

    assert told({"shop": account()}, PUSHED, lost) == [
        "shop: 2 conversions (20.00) grew older than 2 days without being accepted (expired_unsent)",
        "crm: 1 conversion (5.00) grew older than 2 days without being accepted (expired_in_doubt)",
    ]


def test_a_source_that_was_not_read_to_its_end_is_a_problem():
    assert told({"shop": account(tally=None)}, PUSHED) == ["shop: was not read to its end"]


def test_what_is_ready_and_was_not_sent_is_a_problem_with_its_last_trouble():
    ready = {None: amount(1, "9.99"), "HTTP 503": amount(1_200, "12345.6")}

    assert told({"shop": account(ready=ready)}, PUSHED) == [
        "shop: 1 conversion (9.99) ready, not sent",
        "shop: 1,200 conversions (12,345.60) ready, not sent (last trouble: HTTP 503)",
    ]


def test_what_is_in_doubt_is_a_problem():
    assert told({"shop": account(in_doubt=amount(2, "3.50"))}, PUSHED) == [
        "shop: 2 conversions (3.50) in doubt: a request left, and its answer was lost or leaves it open"
    ]


def test_pushes_and_ledger_must_agree_on_what_was_accepted():
    assert told({"shop": account()}, [PushAccount(is_complete=True, accepted=6)]) == [
        "the pushes counted 6 accepted conversions, the ledger has 5"
    ]
    assert told({"shop": account(), "crm": account()}, [PushAccount(is_complete=True, accepted=10)]) == []


def test_a_push_that_died_could_not_count_to_the_end():
    assert (
        told({"shop": account()}, [PushAccount(is_complete=True, accepted=3), PushAccount(is_complete=False, accepted=0)]) == []
    )


def test_the_problems_of_every_source_are_told():
    found = told({"shop": account(ready={None: amount(1)}), "crm": account(tally=None), "fine": account()}, [])

    assert [problem.split(":")[0] for problem in found] == ["shop", "crm"]


# What needs somebody, and what is a note


def levels(found: Verdict) -> list[tuple[Cause, Level]]:
    return [(finding.cause, finding.level) for finding in found.findings]


def source_of(**states):
    """A source that was read to its end, its rows in these states (``rejected__invalid_value=3``), all of the window and new."""
    found = {}
    for name, rows in states.items():
        state, _, reason = name.partition("__")
        found[(state, reason or None)] = amount(rows, rows)
    total = sum(found.values(), Amount())
    sent = found.get(("accepted", None), Amount())
    of_window = {key: one for key, one in found.items() if key[0] != "future"}
    return SourceAccount(tally=Tally(read=total, recorded=total), states=found, in_window=of_window, new=found, sent=sent)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"accepted": 5}, []),
        ({"accepted": 5, "held__unknown_user": 60}, []),
        ({"accepted": 1, "rejected__invalid_value": 1}, [(Cause.REJECTED, Level.NOTE)]),
        ({"accepted": 1, "rejected__invalid_value": 2}, [(Cause.REJECTED, Level.ATTENTION)]),
        ({"accepted": 5, "future": 5}, [(Cause.DATED_IN_FUTURE, Level.NOTE)]),
        ({"accepted": 10, "future": 290}, [(Cause.DATED_IN_FUTURE, Level.ATTENTION)]),
        ({"held__unknown_user": 1, "future": 1}, [(Cause.NOBODY_KNOWN, Level.ATTENTION), (Cause.DATED_IN_FUTURE, Level.NOTE)]),
        ({"accepted": 1, "expired__expired_before_seen": 9}, [(Cause.EXPIRED_BEFORE_SEEN, Level.NOTE)]),
        ({"held__unknown_user": 1}, [(Cause.NOBODY_KNOWN, Level.ATTENTION)]),
        ({"held__unknown_user": 1, "rejected__invalid_value": 9}, [(Cause.NOBODY_KNOWN, Level.ATTENTION)]),
        ({"rejected__invalid_value": 1}, [(Cause.NOTHING_SENDABLE, Level.ATTENTION)]),
        ({"rejected__unknown_goal": 3, "expired__expired_before_seen": 3}, [(Cause.NOTHING_SENDABLE, Level.ATTENTION)]),
        ({"future": 4}, [(Cause.NOTHING_SENDABLE, Level.ATTENTION)]),
        ({"rejected__no_view": 4}, [(Cause.NOTHING_SENDABLE, Level.ATTENTION)]),
        ({"rejected__invalid_value": 1, "withdrawn__taken_back": 9}, [(Cause.NOTHING_SENDABLE, Level.ATTENTION)]),
        ({}, [(Cause.NOTHING_READ, Level.NOTE)]),
    ],
)
def test_a_source_that_reads_rows_and_can_send_none_is_never_good_whatever_their_number(states, expected):
    assert levels(verdict({"shop": source_of(**states)})) == expected


def test_a_source_whose_conversions_all_wait_for_their_visits_is_good():
    assert verdict({"shop": source_of(held__not_loaded_yet=3)}).level is Level.GOOD


@pytest.mark.parametrize("decided", ["withdrawn__taken_back", "withdrawn__forgotten", "rejected__written_off"])
def test_that_people_decided_about_all_conversions_of_a_source_is_no_fault_of_it(decided):
    assert verdict({"shop": source_of(**{decided: 2})}).level is Level.GOOD


def test_what_attribution_skips_is_noted_and_needs_nobody_however_much_it_is():
    found = verdict({"shop": source_of(accepted=1, rejected__no_view=8, rejected__viewed_later=1)})
    assert levels(found) == [(Cause.REJECTED, Level.NOTE)]


def test_the_most_frequent_reasons_are_named_and_the_others_counted():
    rows = {"missing_timestamp": 1, "invalid_value": 7, "unknown_goal": 3, "missing_identity": 2, "negative_value": 1}
    states = {f"rejected__{reason}": count for reason, count in rows.items()}
    (finding,) = verdict({"shop": source_of(**states)}).findings
    assert (
        finding.sentence
        == "shop: none of 14 rows (14.00) can be sent (invalid_value 7, unknown_goal 3, missing_identity 2, others 2)"
    )


def test_a_run_for_a_date_does_not_judge_a_source_whose_rows_lie_outside_its_window():
    tally = Tally(read=amount(5), outside=amount(5))
    assert verdict({"shop": SourceAccount(tally=tally)}, whole_window=False).level is Level.GOOD


def test_refusals_are_counted_by_webflow_s_words_the_most_frequent_first():
    answers = [ended("shop", "refused_422", amount(rows, rows), words) for words, rows in [("no goal", 2), ("bad user", 5)]]
    answers.append(ended("shop", "refused_400", amount(1, 1)))
    (finding,) = verdict({"shop": source_of(accepted=92)}, ended=answers).findings
    assert finding.level is Level.ATTENTION
    assert finding.sentence == (
        "shop: Webflow refused 8 conversions (8.00) of 100 that it answered: HTTP 422 “bad user” (5), HTTP 422 “no goal” (2), HTTP 400 (1)"
    )
    assert finding.amount == amount(8, 8)


def test_a_success_that_was_not_our_event_is_possibly_received_for_the_whole_night():
    found = verdict({}, ended=[ended("shop", "echo_mismatch", amount(3, 30), "HTTP 200 without our event")])
    (finding,) = found.findings
    assert (finding.cause, finding.level, finding.amount) == (Cause.POSSIBLY_RECEIVED, Level.FAILED, amount(3, 30))
    assert "HTTP 200 without our event" in finding.sentence
    assert of_night([Verdict(), found]).findings == (finding,)


def test_a_row_that_had_no_time_left_when_it_was_first_seen_is_no_run_s_fault():
    assert verdict({}, ended=[ended("shop", "expired_unsent", amount(1), had_time=False)]).level is Level.GOOD


@pytest.mark.parametrize(("rows", "level"), [(5, Level.NOTE), (6, Level.ATTENTION)])
def test_conflicting_ids_need_somebody_beyond_the_share(rows, level):
    tally = Tally(read=amount(100), recorded=amount(100 - rows), conflicting=amount(rows))
    account = SourceAccount(
        tally=tally,
        states={("accepted", None): amount(100 - rows)},
        in_window={("accepted", None): amount(1)},
        sent=amount(100 - rows),
    )
    assert levels(verdict({"shop": account})) == [(Cause.CONFLICTING_IDS, level)]
    assert verdict({"shop": account}, limits={"conflicting_share": None}).level is Level.NOTE


@pytest.mark.parametrize(
    ("usual", "read", "level"),
    [
        ([100, 100], 25, Level.GOOD),
        ([100, 100], 24, Level.NOTE),
        ([100], 1, Level.GOOD),
        ([], 1, Level.GOOD),
        ([19, 19], 1, Level.GOOD),
    ],
)
def test_a_fall_is_measured_against_the_median_of_at_least_two_nights(usual, read, level):
    nights = {"shop": [amount(rows) for rows in usual]}
    assert verdict({"shop": source_of(accepted=read)}, usual=nights).level is level
    assert verdict({"shop": source_of(accepted=read)}, usual=nights, whole_window=False).level is Level.GOOD


@pytest.mark.parametrize(("value", "level"), [("250", Level.GOOD), ("249.99", Level.NOTE), ("0", Level.NOTE)])
def test_money_falls_as_rows_do(value, level):
    nights = {"shop": [amount(100, "1000")] * 2}
    rows = amount(100, value)
    states = {("accepted", None): rows}
    shop = SourceAccount(tally=Tally(read=rows, recorded=rows), states=states, in_window=states, new=states, sent=rows)
    found = verdict({"shop": shop}, usual=nights)
    assert found.level is level
    if level is Level.NOTE:
        (finding,) = found.findings
        missing = 1000 - Decimal(value)
        assert finding.sentence == (
            f"shop: 100 rows ({Decimal(value):,.2f}) read, and a value of 1,000.00 is usual on this weekday (the last 2): "
            f"some {missing:,.2f} are missing"
        )


@pytest.mark.parametrize("reason", ["rejected__invalid_value", "held__unknown_user"])
def test_a_row_that_came_since_the_run_began_does_not_excuse_a_source_that_can_send_none(reason):
    blocked = source_of(**{reason: 60})
    tally = Tally(read=amount(61, 61), recorded=amount(60, 60), outside=amount(1, 1))
    shop = SourceAccount(tally=tally, states=blocked.states, in_window=blocked.in_window, new=blocked.new)
    (finding,) = verdict({"shop": shop}).findings
    assert finding.level is Level.ATTENTION
    assert finding.amount == amount(60, 60)


def test_a_source_whose_rows_all_came_since_the_run_began_is_good():
    tally = Tally(read=amount(5), outside=amount(5))
    assert verdict({"shop": SourceAccount(tally=tally)}).level is Level.GOOD


def test_one_conversion_is_one_in_every_sentence():
    found = verdict({"shop": account(changed_after_sent=1, returned=1)}, PUSHED).findings
    told = " ".join(finding.sentence for finding in found)
    assert "1 conversion was changed by the source after being sent" in told
    assert "1 conversion came back" in told


def test_more_rejected_rows_than_the_share_need_nobody_where_the_guard_is_off():
    assert (
        verdict({"shop": source_of(accepted=1, rejected__invalid_value=2)}, limits={"rejected_share": None}).level is Level.NOTE
    )


def test_who_forces_a_run_past_the_guards_knows_of_the_rejected_rows():
    shop = {"shop": source_of(accepted=1, rejected__invalid_value=2)}
    assert [verdict(shop, is_forced=forced).level for forced in (False, True)] == [Level.ATTENTION, Level.NOTE]


def test_what_is_dated_in_the_future_is_told_by_the_run_that_sees_it_first():
    seen = source_of(accepted=5, future=2)
    (finding,) = verdict({"shop": seen}).findings
    assert finding.sentence == "shop: 2 conversions (2.00) of 7 conversions (7.00) are dated in the future"
    assert verdict({"shop": replace(seen, new={})}).level is Level.GOOD


def test_a_first_night_says_that_it_has_no_usual_volume():
    assert volume_in_words([amount(3)]) == "no usual volume yet: it is known after 2 nights of the same weekday"
    assert volume_in_words([amount(3), amount(5)]) == "usually 4 rows on this weekday"


def test_the_worst_finding_comes_first_and_is_the_level_of_its_source_and_of_the_run():
    found = verdict(
        {
            "shop": source_of(accepted=1, rejected__invalid_value=1),
            "crm": account(tally=None),
            "new": source_of(held__unknown_user=1),
        }
    )
    assert [finding.level for finding in found.findings] == [Level.FAILED, Level.ATTENTION, Level.NOTE]
    assert (found.level, found.of("shop"), found.of("crm"), found.of("new")) == (
        Level.FAILED,
        Level.NOTE,
        Level.FAILED,
        Level.ATTENTION,
    )
    assert found.problems == [finding.sentence for finding in found.findings[:2]]


def test_a_verdict_survives_the_run_s_record():
    found = verdict({"shop": source_of(held__unknown_user=3)}, ended=[ended("shop", "refused_422", amount(1, "9.99"), "no")])
    assert Verdict.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_is_not_read_at_all_is_a_failure():
    assert unread(["crm"]).problems == ["crm: was not read to its end"]
    assert unread([]).level is Level.GOOD


# The page


ROOT = Path(__file__).parents[2]


def test_the_page_in_the_docs_is_the_one_that_the_code_writes():
    assert (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_line_of_its_own_with_a_condition_and_a_remedy_in_sentences(cause):
    assert page().count(f"| `{cause}` |") == 1
    assert CAUSES[cause].condition.endswith((".", "one."))
    assert CAUSES[cause].remedy.endswith(".")


# Rehearsals


def rehearsed(states, **changes):
    total = sum(states.values(), Amount())
    changes = {"tally": Tally(read=total, recorded=total), "states": states, "in_window": {}, "sent": Amount(), **changes}
    return {"shop": account(**changes)}


def test_a_rehearsal_says_what_it_would_have_sent_by_source_and_is_green():
    accounts = {
        "shop": account(would_send=amount(5, "50.00"), sent=Amount()),
        "crm": account(would_send=amount(2, "7.00"), sent=Amount()),
        "new": account(sent=Amount()),
    }

    found = verdict(accounts, is_rehearsal=True)

    assert found.level is Level.NOTE
    (finding,) = (one for one in found.findings if one.cause is Cause.REHEARSAL)
    assert finding.sentence == (
        "this was a rehearsal, and nothing was sent: 7 conversions (57.00) would have been (shop 5, crm 2)"
    )
    assert finding.amount == amount(7, "57.00")


def test_a_source_whose_conversions_only_rehearsals_saw_is_no_source_that_can_send_none():
    states = {("expired", "expired_in_rehearsal"): amount(3)}

    assert verdict(rehearsed(states, new=states), is_rehearsal=True).level is Level.NOTE
    assert verdict(rehearsed(states, new=states)).level is Level.GOOD


def test_what_expires_without_a_user_weighs_in_a_rehearsal_as_in_a_live_run():
    lost = [ended("shop", "expired_unidentified", amount(1))]
    states = {("ready", None): amount(5)}

    assert verdict(rehearsed(states, in_window=states), ended=lost, is_rehearsal=True).level is Level.NOTE
    assert verdict(rehearsed({("held", "not_loaded_yet"): amount(5)}), ended=lost, is_rehearsal=True).level is Level.ATTENTION


def test_a_push_that_failed_in_a_rehearsal_is_told_though_it_would_send_nothing():
    failure = Failure(
        task="push", map_index=0, error="Unusable", sentence="There is no connection.", at=AT, try_number=1, is_last_try=True
    )
    accounts = {"shop": account(would_send=amount(5), sent=Amount())}

    assert verdict(accounts, failures=[failure], is_rehearsal=True).level is Level.FAILED
