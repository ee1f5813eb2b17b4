"""An event's identity never changes, and its body is the contract's."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webflow_conversions.rules.event import Event, action_id, is_event_name, stand_in_action_id

DOCUMENTED = (
    '{"customerId": "123456789", "eventName": "application-accepted", "userDomain": "salesforce", "userId": "72349876", '
    '"actionId": "23823940", "actionTimestamp": 1578316150000, "value": 149.99}'
)
EVENT = Event(
    event_name="application-accepted",
    user_domain="salesforce",
    user_id="72349876",
    action_id="23823940",
    action_timestamp_ms=1578316150000,
    value=Decimal("149.99"),
)
ANY_TEXT = st.text(st.characters(), max_size=80)  # with NUL, surrogates and all

# The name


@pytest.mark.parametrize("name", ["a", "offline-purchase", "Deal_Won!", "~", "x" * 40, '"quoted"', "100%", "a/b?c"])
def test_an_event_name_has_up_to_40_printable_ascii_characters(name):
    assert is_event_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "offline purchase",
        "a ",
        " a",
        "a\n",
        "a\tb",
        "x" * 41,
        "größe",
        "ｓａｌｅ",
        "sale\x00",
        "\x7f",
        "sale\u200b",
        "🎉",
    ],
)
def test_an_event_name_has_no_space_and_nothing_else(name):
    assert not is_event_name(name)


@given(st.integers(0, 0x10FFFF).map(chr))
def test_the_characters_of_an_event_name_are_just_those_from_exclamation_mark_to_tilde(character):
    assert is_event_name(f"a{character}") == (0x21 <= ord(character) <= 0x7E)


# The action ID


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            ("webflow_default", "offline_sales", "offline-purchase", "S-1001"),
            "webflow_default/offline_sales/offline-purchase/S-1001",
        ),
        (("webflow_default", "crm_conversions", "deal-won", "72349876"), "webflow_default/crm_conversions/deal-won/72349876"),
        (("w", "s", "e", "a.b_c~d-e"), "w/s/e/a.b_c~d-e"),
        (("w", "s", "e", "a/b"), "w/s/e/a%2Fb"),
        (("w", "s", "e?", "?"), "w/s/e%3F/%3F"),
        (("w", "s", "e", "Müller & Söhne 7 %"), "w/s/e/M%C3%BCller%20%26%20S%C3%B6hne%207%20%25"),
        (("w", "s", "e", "日本"), "w/s/e/%E6%97%A5%E6%9C%AC"),
        (
            ("w", "s", "e", "x" * 300),
            f"w/s/e/{'x' * 194}?sha256=b353d7d6a7f918d9ffa7dcfe4743ecfb9691b7dc0637dd078ecbf462acc6fef5",
        ),
    ],
)
def test_the_action_id_of_a_conversion_is_readable_and_has_been_this_since_the_first_release(parts, expected):
    assert action_id(*parts) == expected


parts = st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
tricky = st.text("/%?2Fa=\x00\ud800é", max_size=6)


@settings(max_examples=500)
@given(parts | st.tuples(tricky, tricky, tricky, tricky), parts | st.tuples(tricky, tricky, tricky, tricky))
def test_two_conversions_never_share_an_action_id(one, other):
    assert (action_id(*one) == action_id(*other)) == (one == other)


@given(st.integers(0, 300), st.integers(0, 300), st.sampled_from("x/é"))
def test_long_ids_that_begin_alike_stay_apart(one, other, character):
    ids = [action_id("w", "s", "e", "x" * 180 + character * length) for length in (one, other)]

    assert (ids[0] == ids[1]) == (one == other)


def test_a_part_that_moves_over_the_border_makes_another_conversion():
    assert (
        len(
            {
                action_id("w", "s", "e", "a/b"),
                action_id("w", "s", "e/a", "b"),
                action_id("w", "s/e", "a", "b"),
                action_id("w", "s", "e", "a%2Fb"),
            }
        )
        == 4
    )


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT | st.text(st.characters(), min_size=200, max_size=2_000))
def test_an_action_id_is_short_printable_ascii(destination, source, event_name, conversion_id):
    for identifier in (
        action_id(destination, source, event_name, conversion_id),
        stand_in_action_id(destination, source, event_name, conversion_id),
    ):
        assert len(identifier) <= 350
        assert all("!" <= character <= "~" for character in identifier)


@given(parts, parts)
def test_the_stand_in_of_a_row_without_an_id_is_no_conversions_action_id(row, conversion):
    assert stand_in_action_id(*row) != action_id(*conversion)


@given(parts, parts)
def test_rows_without_an_id_share_their_stand_in_only_if_they_say_the_same(one, other):
    assert (stand_in_action_id(*one) == stand_in_action_id(*other)) == (one == other)


# The body


def test_the_body_is_the_documented_example():
    assert json.loads(EVENT.body("123456789")) == json.loads(DOCUMENTED)


def test_the_value_and_the_timestamp_are_written_as_plain_numbers():
    body = EVENT.body("123456789")

    assert b'"value":149.99}' in body
    assert b'"actionTimestamp":1578316150000,' in body


def test_an_event_without_a_value_has_no_such_field():
    event = Event(event_name="e", user_domain="d", user_id="u", action_id="a", action_timestamp_ms=1)

    assert json.loads(event.body("1")) == {
        "customerId": "1", "eventName": "e", "userDomain": "d", "userId": "u", "actionId": "a", "actionTimestamp": 1,
    }  # fmt: skip


def test_a_value_of_zero_is_sent():
    event = Event(event_name="e", user_domain="d", user_id="u", action_id="a", action_timestamp_ms=1, value=Decimal("0.00"))

    assert b'"value":0}' in event.body("1")


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_domain_and_user_reach_the_api_to_the_letter_whatever_is_in_them(customer_id, user_domain, user_id):
    event = Event(event_name="e", user_domain=user_domain, user_id=user_id, action_id="a", action_timestamp_ms=1)
    document = json.loads(event.body(customer_id))

    assert (document["customerId"], document["userDomain"], document["userId"]) == (customer_id, user_domain, user_id)
    assert event.body(customer_id).isascii()


@given(st.decimals(0, 10**13 - 1, places=2))
def test_every_cent_of_a_value_is_in_the_body(value):
    event = Event(event_name="e", user_domain="d", user_id="u", action_id="a", action_timestamp_ms=1, value=value)

    assert json.loads(event.body("1"), parse_float=Decimal, parse_int=Decimal)["value"] == value


def test_an_incomplete_event_names_the_customer_and_nothing_else():
    assert json.loads(Event.incomplete('12"3')) == {"customerId": '12"3'}
