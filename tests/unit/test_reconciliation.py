"""The account of a run fails for a row or a cent that is missing, and says what should be out and is not."""

import json
from decimal import Decimal

import pytest

from webflow_conversions.pipeline.reconciliation import (
    MISSING,
    Altered,
    PushAccount,
    SourceAccount,
    as_table,
    counts,
    problems,
    source_counts,
)
from webflow_conversions.rules.amounts import Amount, Tally


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


PUSHED = [PushAccount(is_complete=True, accepted=3), PushAccount(is_complete=True, accepted=2)]


def told(accounts, pushes, lost=None):
    return problems(accounts, pushes, lost or {})


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
    lost = {("shop", "expired_unsent"): amount(2, "20"), ("crm", "expired_in_doubt"): amount(1, "5")}

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
        "shop: 2 conversions (3.50) in doubt: a request left, and its answer was lost"
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


# What the guards look at


def test_the_guards_see_what_was_read_recorded_rejected_and_is_to_be_sent():
    states = {
        ("rejected", "invalid_value"): amount(2),
        ("rejected", "unknown_goal"): amount(1),
        ("held", "unknown_user"): amount(4),
        ("ready", None): amount(3),
    }
    seen = source_counts(
        {
            "shop": account(states=states, ready={None: amount(3, "5"), "HTTP 503": amount(1, "2")}),
            "crm": account(tally=None, states={}),
        }
    )

    assert (seen["shop"].read_rows, seen["shop"].recorded_rows, seen["shop"].rejected_rows) == (10, 10, 3)
    assert seen["shop"].to_send == amount(4, "7")
    assert (seen["crm"].read_rows, seen["crm"].recorded_rows) == (None, 0)


# The record


def test_the_record_is_json_with_exact_money_by_source_state_and_reason():
    record = counts(
        {"shop": account(changed_after_sent=2, sent_again=1, ready={None: amount(1, "0.10"), "HTTP 503": amount(1, "0.20")})},
        PUSHED,
        {("crm", "expired_unsent"): amount(3, "30.00")},
    )

    assert json.loads(json.dumps(record)) == record
    shop = record["sources"]["shop"]
    assert shop["read"] == {"rows": 10, "value": "100.00"}
    assert shop["duplicates"] == {"rows": 1, "value": "10.00"}
    assert shop["states"] == {
        "held": {"unknown_user": {"rows": 1, "value": "20.00"}},
        "accepted": {"": {"rows": 5, "value": "50.00"}},
        "rejected": {"invalid_value": {"rows": 1, "value": "0"}},
    }
    assert shop["ready"] == {"rows": 2, "value": "0.30"}
    assert (shop["changed_after_sent"], shop["sent_again"], shop["conflicting"]["rows"]) == (2, 1, 0)
    assert record["accepted_by_pushes"] == 5
    assert record["lost"] == [{"source": "crm", "reason": "expired_unsent", "rows": 3, "value": "30.00"}]


def test_the_record_of_a_source_that_was_not_read_has_its_states():
    assert counts({"shop": account(tally=None)}, [], {})["sources"]["shop"]["states"]["accepted"] == {
        "": {"rows": 5, "value": "50.00"}
    }


def test_the_table_for_the_log_has_a_line_for_every_state_and_reason_and_for_what_was_not_recorded():
    lines = as_table({"shop": account(), "crm": account(tally=None)}).splitlines()
    cells = [line.split() for line in lines]

    assert cells[0] == ["source", "state", "reason", "rows", "value"]
    assert cells[1] == ["shop", "read", "10", "100.00"]
    assert ["shop", "-", "too_old", "1", "10.00"] in cells
    assert ["shop", "accepted", "5", "50.00"] in cells
    assert ["shop", "rejected", "invalid_value", "1", "0.00"] in cells
    assert [line[0] for line in cells[1:]] == ["shop"] * 7 + ["crm"] * 3
    assert len({len(line) for line in lines}) == 1
