"""Only the actionId proves that an answer is the echo of an event; other differences are named."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webflow_conversions.delivery.answers import Answer
from webflow_conversions.delivery.echo import Likeness, differences, likeness
from webflow_conversions.rules.event import Event

EVENT = Event(
    event_name="application-accepted",
    user_domain="salesforce",
    user_id="72349876",
    action_id="w/s/e/23823940",
    action_timestamp_ms=1578316150000,
    value=Decimal("149.99"),
)
SENT = EVENT.body("123456789")
DOCUMENT = json.loads(SENT)


def of(received: bytes) -> Likeness:
    return likeness(SENT, Answer(status=200, body=received))


@pytest.mark.parametrize(
    "received",
    [
        SENT,
        json.dumps(DOCUMENT, indent=2, sort_keys=True).encode(),
        json.dumps({**DOCUMENT, "receivedAt": 1, "nested": {"a": [1]}}).encode(),
        SENT.replace(b"149.99", b"149.990"),
        SENT.replace(b"149.99", b"1.4999e2"),
        SENT.replace(b"salesforce", b"\\u0073alesforce"),
        b"\n" + SENT + b"\n",
    ],
)
def test_the_event_in_any_order_and_writing_and_with_more_fields_is_its_echo_without_a_difference(received: bytes) -> None:
    assert of(received) is Likeness.ECHO
    assert differences(SENT, Answer(body=received)) == []


@pytest.mark.parametrize("field", sorted({*DOCUMENT} - {"actionId"}))
@pytest.mark.parametrize("other", [None, "", "other", 1, 1.5, True, [], {}, "absent"], ids=repr)
def test_another_value_beside_the_action_id_is_a_difference_of_an_echo(field: str, other: object) -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != field}
    document |= {} if other == "absent" else {field: other}
    received = json.dumps(document).encode()

    assert of(received) is Likeness.ECHO
    assert differences(SENT, Answer(body=received)) == [field]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("149.99", "149.99000000000001", "value"),
        ("149.99", '"149.99"', "value"),
        ('"123456789"', "123456789", "customerId"),
        ("1578316150000", '"1578316150000"', "actionTimestamp"),
        ("salesforce", "Salesforce", "userDomain"),
        ("149.99", "NaN", "value"),
    ],
)
def test_another_form_is_named(old: str, new: str, field: str) -> None:
    received = SENT.decode().replace(old, new).encode()

    assert of(received) is Likeness.ECHO
    assert differences(SENT, Answer(body=received)) == [field]


@pytest.mark.parametrize("key", ["data", "event", "result"])
def test_an_event_in_an_envelope_is_its_echo(key: str) -> None:
    received = json.dumps({key: DOCUMENT, "errors": [], "id": "x"}).encode()

    assert of(received) is Likeness.ECHO
    assert differences(SENT, Answer(body=received)) == []


@pytest.mark.parametrize("action_id", [None, "", "W/S/E/23823940", "w/s/e/23823940 ", 23823940, True, [DOCUMENT["actionId"]], {}])
def test_fields_of_the_event_under_another_action_id_are_similar(action_id: object) -> None:
    assert of(json.dumps({**DOCUMENT, "actionId": action_id}).encode()) is Likeness.SIMILAR
    assert of(json.dumps({"data": {**DOCUMENT, "actionId": action_id}}).encode()) is Likeness.SIMILAR


def test_an_error_with_the_event_is_similar() -> None:
    assert of(json.dumps({"error": "no such goal", "event": DOCUMENT}).encode()) is Likeness.SIMILAR


@pytest.mark.parametrize(
    "said",
    [
        {"data": {**DOCUMENT, "error": "no such goal"}},
        {"meta": {"errors": ["no such goal"]}, "data": DOCUMENT},
        {**DOCUMENT, "success": False},
        {"ok": False, "event": DOCUMENT},
        {"accepted": False, "event": DOCUMENT},
        {"status": "Error", "message": "no such goal", "event": DOCUMENT},
        {"statusCode": 400, "event": DOCUMENT},
        {"event": {**DOCUMENT, "code": "422"}},
    ],
    ids=str,
)
def test_an_answer_that_says_that_it_failed_is_similar(said: dict[str, object]) -> None:
    assert of(json.dumps(said).encode()) is Likeness.SIMILAR


@pytest.mark.parametrize(
    "said",
    [
        {"success": True, "error": None, "data": DOCUMENT},
        {"status": "ok", "code": 0, "errors": [], "event": DOCUMENT},
        {"statusCode": 200, "accepted": 1, "event": DOCUMENT},
        {"status": "received", "code": "OK", "error": "", "event": DOCUMENT},
    ],
    ids=str,
)
def test_an_answer_that_says_that_all_is_well_is_the_echo(said: dict[str, object]) -> None:
    assert of(json.dumps(said).encode()) is Likeness.ECHO


def test_the_customer_alone_is_no_event() -> None:
    assert of(b'{"customerId": "123456789", "status": "ok"}') is Likeness.FOREIGN


def test_a_number_is_its_own_text() -> None:
    sent = EVENT._replace(action_id="23823940").body("1")

    assert likeness(sent, Answer(body=sent.replace(b'"23823940"', b"23823940"))) is Likeness.ECHO


@pytest.mark.parametrize(
    "received",
    [b"", b"OK", b"{}", b"null", b"true", b"1", b"[]", b'"' + b"x" * 9 + b'"', b"[" + SENT + b"]", SENT[:-1], SENT + SENT, b"<html></html>", b"\xff\xfe", b"\x00", b"[" * 100_000, b'{"a":' * 100_000, b'{"value":1e999999999}', b'{"value":-1e9999999999999999999}', b"9" * 100_000],
    ids=lambda received: repr(received[:30]),
)  # fmt: skip
def test_anything_else_is_foreign_and_breaks_nothing(received: bytes) -> None:
    assert of(received) is Likeness.FOREIGN


@settings(max_examples=300)
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ).map(lambda document: json.dumps(document).encode())
)
def test_no_answer_that_was_not_made_of_the_event_is_its_echo(received: bytes) -> None:
    assert of(received) is Likeness.FOREIGN
