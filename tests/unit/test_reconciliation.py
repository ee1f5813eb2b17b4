"""The record of a run says what was read and sent, and by state and reason where it stands."""

import json

from tests.unit.test_verdict import account, amount
from webflow_conversions.pipeline.reconciliation import (
    PushAccount,
    as_table,
    counts,
    source_counts,
)
from webflow_conversions.rules.readings import Reading

# What the guards look at


def test_the_guards_see_what_was_read_recorded_rejected_for_a_fault_and_is_to_be_sent():
    states = {
        ("rejected", "invalid_value"): amount(2),
        ("rejected", "unknown_goal"): amount(1),
        ("rejected", "no_view"): amount(4),
        ("held", "unknown_user"): amount(4),
        ("ready", None): amount(3),
    }
    seen = source_counts(
        {
            "shop": account(states=states, ready={None: amount(3, "5"), "HTTP 503": amount(1, "2")}),
            "crm": account(tally=None, states={}),
        }
    )

    assert (seen["shop"].read_rows, seen["shop"].recorded_rows, seen["shop"].rejected_rows) == (10, 14, 3)
    assert seen["shop"].to_send == amount(4, "7")
    assert (seen["crm"].read_rows, seen["crm"].recorded_rows) == (None, 0)


# The record


def test_the_record_is_json_with_exact_money_by_source_state_and_reason():
    record = counts(
        {"shop": account(changed_after_sent=2, sent_again=1, ready={None: amount(1, "0.10"), "HTTP 503": amount(1, "0.20")})},
        [PushAccount(is_complete=True, accepted=5)],
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


def test_the_record_has_the_verdicts_on_what_was_accepted_and_the_time_since_the_last_activity():
    attribution = {("will_count", None): amount(3, "30"), ("may_count", "edge"): amount(1, "10"), (None, None): amount(1, "10")}
    activity = {"offline-purchase": {"2026-11-23": [3, 1]}}
    credited = {Reading.STRICT: amount(3, "30"), Reading.WIDE: amount(4, "40")}

    record = counts({"shop": account(attribution=attribution, credited=credited)}, [], activity)

    assert json.loads(json.dumps(record)) == record
    assert record["sources"]["shop"]["attribution"] == {
        "": {"": {"rows": 1, "value": "10"}},
        "may_count": {"edge": {"rows": 1, "value": "10"}},
        "will_count": {"": {"rows": 3, "value": "30"}},
    }
    assert record["sources"]["shop"]["credited"] == {
        "strict": {"rows": 3, "value": "30"},
        "wide": {"rows": 4, "value": "40"},
    }
    assert record["activity"] == activity
    assert "activity" not in counts({"shop": account()}, [])


def test_the_record_of_a_source_that_was_not_read_has_its_states():
    assert counts({"shop": account(tally=None)}, [])["sources"]["shop"]["states"]["accepted"] == {
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
