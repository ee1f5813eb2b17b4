"""The demo's comparison of the ledger with what the simulator received."""

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from demo.account import disagreements, table

CUSTOMER = "123456789"


def accepted(action_id: str = "a1", **changes: Any) -> SimpleNamespace:
    row = {
        "action_id": action_id,
        "event_name": "deal-won",
        "user_domain": "crm",
        "user_id": "u1",
        "action_timestamp_ms": 1578316150000,
        "value": Decimal("149.90"),
    }
    return SimpleNamespace(**row | changes)


def received(action_id: str = "a1", *, counts: bool = True, **changes: Any) -> dict[str, Any]:
    document = {
        "customerId": CUSTOMER,
        "eventName": "deal-won",
        "userDomain": "crm",
        "userId": "u1",
        "actionId": action_id,
        "actionTimestamp": 1578316150000,
        "value": 149.9,
    }
    body = json.dumps({name: value for name, value in (document | changes).items() if value is not None})
    return {"action_id": action_id, "body": body, "counts": counts}


def test_the_same_conversions_with_the_same_payload_agree() -> None:
    assert (
        disagreements([accepted("a1"), accepted("a2", value=None)], [received("a2", value=None), received("a1")], CUSTOMER) == []
    )


def test_what_is_accepted_but_never_came_is_named() -> None:
    assert disagreements([accepted("a1"), accepted("a2")], [received("a1")], CUSTOMER) == [
        "1 accepted in the ledger, but never received: a2"
    ]


def test_what_came_but_is_not_accepted_is_named() -> None:
    assert disagreements([], [received("a1")], CUSTOMER) == ["1 received, but not accepted in the ledger: a1"]


def test_what_came_twice_is_named() -> None:
    assert disagreements([accepted()], [received(), received()], CUSTOMER) == ["1 received more than once: a1"]


def test_what_came_too_late_is_named() -> None:
    (sentence,) = disagreements([accepted()], [received(counts=False)], CUSTOMER)
    assert "Webflow may ignore it: a1" in sentence


@pytest.mark.parametrize(
    "change",
    [
        {"customerId": "1"},
        {"eventName": "Deal-won"},
        {"userDomain": "shop"},
        {"userId": "u2"},
        {"actionTimestamp": 1578316150001},
        {"value": 149.91},
        {"value": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_payload_is_named_whatever_field_differs(change: dict[str, Any]) -> None:
    assert disagreements([accepted()], [received(**change)], CUSTOMER) == [
        "1 received with another payload than the ledger's: a1"
    ]


def test_only_the_first_of_many_are_named() -> None:
    (sentence,) = disagreements([accepted(f"a{number}") for number in range(1_234)], [], CUSTOMER)
    assert sentence == "1,234 accepted in the ledger, but never received: a0, a1, a10, …"


def test_a_table_has_its_numbers_to_the_right() -> None:
    assert table(
        ("state", "rows", "value"), [("accepted", 1_200, Decimal("3.5")), ("held", 7, Decimal("1234.5"))]
    ).splitlines() == [
        "state      rows     value",
        "─────────────────────────",
        "accepted  1,200      3.50",
        "held          7  1,234.50",
    ]
