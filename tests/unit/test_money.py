"""Money is Decimal all the way, has two places at most, half up, and is never negative."""

import json
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webflow_conversions.rules.event import as_json_number
from webflow_conversions.rules.money import LIMIT, parse_value
from webflow_conversions.rules.states import Reason


@pytest.mark.parametrize(
    "given_", ["149.99", " 149.99 ", "+149.99", "1.4999e2", "149.990", 149.99, Decimal("149.99"), Decimal("1.4999E+2")], ids=repr
)
def test_a_value_is_the_same_in_whatever_type_a_driver_gives_it(given_):
    assert parse_value(given_) == (Decimal("149.99"), None)


@pytest.mark.parametrize(
    ("given_", "value"),
    [
        ("0.005", "0.01"),
        ("0.0049999999999999999999999", "0.00"),
        ("0.015", "0.02"),
        ("0.025", "0.03"),
        ("1.005", "1.01"),
        ("2.675", "2.68"),
        (1.005, "1.01"),  # although its binary fraction lies just below
        (2.675, "2.68"),
        (Decimal("1.005"), "1.01"),
        ("1.0049" + "9" * 300, "1.00"),
        ("9999999999999.994", "9999999999999.99"),
        ("1e-320", "0.00"),
        (5e-324, "0.00"),
    ],
)
def test_the_third_place_is_rounded_half_up(given_, value):
    assert parse_value(given_) == (Decimal(value), None)


@pytest.mark.parametrize(
    ("given_", "value"),
    [(0, "0"), ("0", "0"), (150, "150"), ("150", "150"), (".5", "0.5"), ("1.", "1"), ("007", "7"), (0.1 + 0.2, "0.3")],
)
def test_plain_numbers_of_every_shape_are_taken(given_, value):
    assert parse_value(given_) == (Decimal(value), None)


@pytest.mark.parametrize("nothing", [None, pd.NA, pd.NaT, "", "  "], ids=repr)
def test_nothing_is_no_value_and_no_error(nothing):
    assert parse_value(nothing) == (None, None)


@pytest.mark.parametrize("not_a_number", [float("nan"), Decimal("NaN"), Decimal("sNaN"), "NaN", "nan"], ids=repr)
def test_not_a_number_is_no_value_whatever_type_the_driver_gives_it(not_a_number):
    assert parse_value(not_a_number) == (None, Reason.INVALID_VALUE)


@pytest.mark.parametrize("negative", ["-0.001", "-1", -1, -0.001, Decimal("-149.99"), "-1e-300", "-1e300", -1e308], ids=repr)
def test_what_is_below_zero_is_negative_however_little(negative):
    assert parse_value(negative) == (None, Reason.NEGATIVE_VALUE)


@pytest.mark.parametrize("zero", ["-0", "-0.00", "-0e5", -0.0, Decimal("-0"), Decimal("-0.000"), 0, "0.00", "0.001"], ids=repr)
def test_zero_is_zero_without_a_sign(zero):
    value, reason = parse_value(zero)

    assert reason is None
    assert value == 0
    assert as_json_number(value) == "0"


@pytest.mark.parametrize(
    "junk",
    ["149,99", "1,149.99", "1.149,99", "$1", "1 €", "1 000", "1_000", "0x10", "1/2", "5%", "one", "--1", "1..2", ".", "e5", "1e", "1e5000", "１２", "٣", "\x00", True, False,
     "Infinity", "-Infinity", float("inf"), float("-inf"), Decimal("Infinity"), [1], {}, b"1", 1j],
    ids=repr,
)  # fmt: skip
def test_what_is_no_plain_number_is_invalid(junk):
    assert parse_value(junk) == (None, Reason.INVALID_VALUE)


@pytest.mark.parametrize(
    "too_much",
    [LIMIT, "10000000000000", "9999999999999.995", "1e400", Decimal("1E+400"), Decimal("1E+100000"), 1e300, 10**39],
    ids=repr,
)
def test_what_a_double_cannot_hold_to_the_cent_is_invalid(too_much):
    assert parse_value(too_much) == (None, Reason.INVALID_VALUE)


def test_below_the_limit_every_cent_survives_a_reader_that_takes_numbers_as_doubles():
    value, _ = parse_value("9999999999999.99")

    assert repr(json.loads(as_json_number(value))) == "9999999999999.99"


@given(st.decimals(0, LIMIT - 1, allow_nan=False) | st.floats(0, 1e12) | st.integers(0, 10**13 - 1), st.booleans())
def test_any_value_is_within_half_a_cent_of_what_was_given_and_has_two_places_at_most(number, as_text):
    value, reason = parse_value(str(number) if as_text else number)
    exact = Fraction(Decimal(str(number)))

    assert reason is None
    assert isinstance(value, Decimal)
    assert Fraction(value) * 100 == (exact * 100 + Fraction(1, 2)).__floor__()


@given(st.decimals(0, 10**9, places=4))
def test_half_up_is_what_accountants_mean_by_it(number):
    assert parse_value(number)[0] == number.quantize(Decimal("0.01"), ROUND_HALF_UP)


@given(
    st.none()
    | st.text()
    | st.floats()
    | st.decimals()
    | st.integers(-(10**40), 10**40)
    | st.booleans()
    | st.binary()
    | st.datetimes()
    | st.uuids()
)
def test_anything_is_a_value_that_the_api_takes_or_has_a_reason_or_is_nothing(anything):
    value, reason = parse_value(anything)

    assert value is None or reason is None
    if value is not None:
        assert 0 <= value < LIMIT
        assert value == round(value, 2)
        assert Decimal(as_json_number(value)) == value
        assert not as_json_number(value).startswith("-")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("149.99", "149.99"),
        ("150.00", "150"),
        ("150", "150"),
        ("0.50", "0.5"),
        ("0.05", "0.05"),
        ("0.00", "0"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("9999999999999.99", "9999999999999.99"),
    ],
)
def test_the_json_number_is_written_out_and_without_idle_zeros(value, text):
    assert as_json_number(Decimal(value)) == text
