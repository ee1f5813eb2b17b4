"""Every source row ends in one state, with a reason where it cannot be sent, and nothing that a driver gives breaks it."""

import json
import re
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Context, Decimal
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.evaluation import evaluate
from webflow_conversions.rules.event import is_event_name
from webflow_conversions.rules.ids import as_text
from webflow_conversions.rules.personal_data import PersonalDataInIds, has_email, hashed, looks_like_personal_data
from webflow_conversions.rules.source import Ambiguous, Goal, Nonexistent, SourceRules, TimestampKind
from webflow_conversions.rules.states import Reason, State, explain
from webflow_conversions.rules.text import LONGEST_TEXT, is_plain, storable
from webflow_conversions.rules.window import Window, to_milliseconds

NOW = datetime(2026, 3, 14, 22, tzinfo=UTC)
MILLISECOND, HOUR, DAY = timedelta(milliseconds=1), timedelta(hours=1), timedelta(days=1)
LAST_2_DAYS = Window.up_to(NOW + HOUR)


def rules(**changes):
    return SourceRules(
        **{"destination": "webflow_default", "source": "shop", "event_name": "sale", "kind": TimestampKind.AWARE, **changes}
    )


def row(conversion_id="S-1", occurred_at=NOW - HOUR, identity_key="card-1", **more):
    return {"conversion_id": conversion_id, "occurred_at": occurred_at, "identity_key": identity_key, **more}


def chunk(rows):
    """Rows as the warehouse reader hands them over."""
    columns = dict.fromkeys(name for one in rows for name in one)
    return {name: pd.Series([one.get(name) for one in rows], dtype=object) for name in columns}


def judge(*rows, window=LAST_2_DAYS, now=NOW, clock_offset=None, **changes):
    return evaluate(chunk(rows), rules(**changes), window, now, clock_offset=clock_offset)


def records(evaluated):
    """The rows that the run records, whether or not the ledger has them."""
    frame = evaluated.conversions[evaluated.conversions["beside"].isna()].drop(columns="beside").astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def only(*rows, **how):
    (record,) = records(judge(*rows, **how))
    return record


def state_of(*rows, **how):
    record = only(*rows, **how)
    return record["state"], record["reason"]


# One row


def test_a_valid_row_is_held_until_its_user_is_known():
    assert only(row("S-1", NOW - HOUR, "card-1", value="149.99")) == {
        "action_id": "webflow_default/shop/sale/S-1",
        "event_name": "sale",
        "conversion_id": "S-1",
        "value": Decimal("149.99"),
        "identity_key": "card-1",
        "reason": "unknown_user",
        "detail": None,
        "action_timestamp_ms": to_milliseconds(NOW - HOUR),
        "alike": 1,
        "rank": 1,
        "state": "held",
    }


def test_the_first_thing_that_is_wrong_is_the_reason():
    wrong = row(None, None, None, event_name="not a name", value="-1")
    repairs = [
        ("conversion_id", "x" * 501),
        ("conversion_id", "S-1"),
        ("event_name", None),
        ("event_name", "lead"),
        ("occurred_at", "yesterday"),
        ("occurred_at", NOW - 9 * HOUR),
        ("occurred_at", NOW - HOUR),
        ("event_name", "sale"),
        ("value", "many"),
        ("value", "1"),
        ("identity_key", "card-1"),
    ]
    goals = [
        Goal(event_name="sale", valid_from=None, valid_to=None),
        Goal(event_name="lead", valid_from=NOW - 2 * HOUR, valid_to=NOW),
    ]
    reasons = [state_of(wrong, event_name=None, goals=goals)[1]]
    for column, value in repairs:
        wrong[column] = value
        reasons.append(state_of(wrong, event_name=None, goals=goals)[1])

    assert reasons == [
        "missing_conversion_id",
        "invalid_conversion_id",
        "invalid_event_name",
        "missing_event_name",
        "missing_timestamp",
        "invalid_timestamp",
        "goal_not_yet_created",
        "goal_renamed",
        "negative_value",
        "invalid_value",
        "missing_identity",
        "unknown_user",
    ]


def test_the_event_name_of_the_row_goes_before_that_of_the_source():
    assert only(row(event_name="lead"))["event_name"] == "lead"
    assert only(row(event_name=None))["event_name"] == "sale"
    assert only(row(event_name="  "))["event_name"] == "sale"


@pytest.mark.parametrize("name", ["undefined", "NULL", "none", "NaN", "#N/A", "-", "{{event}}", "${name}"])
def test_a_text_for_a_missing_event_name_is_no_event_name(name):
    record = only(row(event_name=name))
    assert (record["reason"], record["detail"]) == ("invalid_event_name", f"event_name = {name}")


@pytest.mark.parametrize("name", ["guest", "unknown", "0", "true", "{7}"])
def test_a_word_that_may_be_the_name_of_a_goal_is_an_event_name(name):
    assert only(row(event_name=name))["state"] == "held"


def test_without_goals_in_the_configuration_no_name_is_checked_against_them():
    assert state_of(row(event_name="anything"), goals=None)[0] == "held"
    assert state_of(row(event_name="anything"), goals=[]) == ("rejected", "unknown_goal")


@pytest.mark.parametrize("nothing", [None, "", "   ", b"", float("nan"), pd.NA, pd.NaT, Decimal("NaN")], ids=repr)
def test_nothing_is_no_conversion_id_and_no_identity(nothing):
    assert state_of(row(nothing)) == ("rejected", "missing_conversion_id")
    assert state_of(row(identity_key=nothing)) == ("rejected", "missing_identity")


def test_a_detail_names_what_the_source_gave_and_never_the_customer():
    for wrong in (
        {"value": "12 EUR"},
        {"event_name": "no name"},
        {"occurred_at": "soon"},
        {"identity_key": None},
        {"conversion_id": None},
    ):
        detail = only({**row(identity_key="KEY-OF-ADA"), **wrong})["detail"] or ""
        column, given_ = next(iter(wrong.items()))
        assert detail == (f"{column} = {given_}" if given_ else "")
    assert "KEY-OF-ADA" not in str(only(row(identity_key="KEY-OF-ADA" * 51))["detail"])


# The 2 days and the window


@pytest.mark.parametrize(
    ("occurred_at", "state", "reason"),
    [
        (NOW - 48 * HOUR, "held", "unknown_user"),
        (NOW - 48 * HOUR - MILLISECOND, "expired", "expired_before_seen"),
        (NOW - 30 * DAY, "expired", "expired_before_seen"),
        (NOW, "held", "unknown_user"),
        (NOW + MILLISECOND, "future", None),
        (datetime(9999, 12, 31, tzinfo=UTC), "future", None),
    ],
)
def test_a_conversion_counts_from_exactly_48_hours_ago_until_now(occurred_at, state, reason):
    assert state_of(row(occurred_at=occurred_at), window=Window(start=NOW - 3 * DAY, end=NOW + DAY)) == (state, reason)


def test_the_2_days_are_counted_to_the_microsecond_of_now():
    now, window = NOW + timedelta(microseconds=1), Window(start=NOW - 3 * DAY, end=NOW + DAY)

    assert state_of(row(occurred_at=NOW - 48 * HOUR), now=now, window=window)[0] == "expired"
    assert state_of(row(occurred_at=NOW - 48 * HOUR + MILLISECOND), now=now, window=window)[0] == "held"
    assert state_of(row(occurred_at=now), now=now, window=window)[0] == "held"


def test_in_the_future_is_judged_by_the_clock_that_it_is_given_and_the_age_is_not():
    slow = NOW - 10 * MILLISECOND
    window = Window(start=NOW - 3 * DAY, end=NOW + DAY)

    assert state_of(row(occurred_at=slow), clock_offset=slow - NOW, window=window)[0] == "held"
    assert state_of(row(occurred_at=slow + MILLISECOND), clock_offset=slow - NOW, window=window)[0] == "future"
    assert state_of(row(occurred_at=NOW - 48 * HOUR - MILLISECOND), clock_offset=slow - NOW, window=window)[0] == "expired"


@pytest.mark.parametrize(
    ("offset", "latest"),
    [(None, NOW), (timedelta(), NOW), (-timedelta(seconds=3), NOW - timedelta(seconds=3)), (timedelta(seconds=3), NOW)],
)
def test_of_our_clock_and_the_apis_the_slower_one_says_what_is_in_the_future(offset, latest):
    run = Run(id=1, run_id="manual", window=LAST_2_DAYS, sources=["shop"], dry_run=False, force=False, clock_offset=offset)

    assert run.due("webflow_default", ["shop"], NOW).interval.end_ms == to_milliseconds(latest) + 1
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_older_than_30_days_is_counted_and_not_recorded_whatever_else_is_wrong():
    evaluated = judge(
        row("S-1", NOW - 30 * DAY - MILLISECOND, value="1"),
        row("S-2", datetime(1969, 7, 20, tzinfo=UTC), value="2"),
        row(None, NOW - 31 * DAY, value="4"),
    )

    assert evaluated.tally.too_old == Amount(rows=3, value=Decimal(7))
    assert records(evaluated) == []
    assert set(evaluated.conversions["beside"]) == {"too_old"}
    assert evaluated.tally.adds_up


def test_what_is_eligible_but_of_another_day_is_counted_and_left_alone():
    today = Window.of_date(date(2026, 3, 14))
    midnight = datetime(2026, 3, 14, tzinfo=UTC)
    evaluated = judge(row("S-1", midnight - MILLISECOND, value="1"), row("S-2", midnight, value="2"), window=today)

    assert evaluated.tally.outside == Amount(rows=1, value=Decimal(1))
    assert [record["conversion_id"] for record in records(evaluated)] == ["S-2"]


def test_what_is_expired_in_the_future_or_wrong_is_recorded_whatever_the_window():
    yesterday = Window.of_date(date(2026, 3, 13))
    evaluated = judge(
        row("S-1", NOW - 3 * DAY), row("S-2", NOW + DAY), row("S-3", None), row("S-4", NOW, value="?"), window=yesterday
    )

    assert [record["state"] for record in records(evaluated)] == ["expired", "future", "rejected", "rejected"]
    assert evaluated.tally.outside == Amount()


def test_the_end_of_the_window_is_outside_and_its_start_inside():
    window = Window(start=NOW - 2 * HOUR, end=NOW - HOUR)

    assert judge(row(occurred_at=NOW - HOUR), window=window).tally.outside.rows == 1
    assert judge(row(occurred_at=NOW - HOUR - MILLISECOND), window=window).tally.outside.rows == 0
    assert judge(row(occurred_at=NOW - 2 * HOUR), window=window).tally.outside.rows == 0
    assert judge(row(occurred_at=NOW - 2 * HOUR - MILLISECOND), window=window).tally.outside.rows == 1


# Zones


@pytest.mark.parametrize(
    ("default", "of_row", "reason"),
    [
        ("Europe/Berlin", None, "unknown_user"),
        ("Europe/Berlin", "", "unknown_user"),
        ("Europe/Berlin", float("nan"), "unknown_user"),
        ("Europe/Berln", "Europe/Berlin", "unknown_user"),
        (None, "Europe/Berlin", "unknown_user"),
        (None, None, "unknown_timezone"),
        (None, "", "unknown_timezone"),
        ("Europe/Berlin", "Europe/Berln", "unknown_timezone"),
        ("Europe/Berlin", ["Europe/Berlin"], "unknown_timezone"),
        ("Europe/Berlin", {"zone": "Europe/Berlin"}, "unknown_timezone"),
    ],
)
def test_the_zone_of_the_row_goes_before_that_of_the_source_and_none_falls_back_to_it(default, of_row, reason):
    record = only(row(occurred_at="2026-03-14 20:00", timezone=of_row), kind=TimestampKind.LOCAL, timezone=default)

    assert record["reason"] == reason
    assert record["action_timestamp_ms"] == (
        to_milliseconds(datetime(2026, 3, 14, 19, tzinfo=UTC)) if reason == "unknown_user" else None
    )


def test_a_source_without_a_zone_column_uses_its_own_zone_or_has_none():
    local = row(occurred_at="2026-03-14 20:00")

    assert state_of(local, kind=TimestampKind.LOCAL, timezone="Europe/Berlin") == ("held", "unknown_user")
    assert state_of(local, kind=TimestampKind.LOCAL) == ("rejected", "unknown_timezone")


def test_a_source_may_reject_what_a_clock_change_repeats_or_skips():
    strict = {
        "kind": TimestampKind.LOCAL,
        "timezone": "America/New_York",
        "ambiguous": Ambiguous.REJECT,
        "nonexistent": Nonexistent.REJECT,
    }

    assert state_of(row(occurred_at="2026-11-01 01:30"), **strict)[1] == "ambiguous_local_time"
    assert state_of(row(occurred_at="2026-03-08 02:30"), **strict)[1] == "nonexistent_local_time"


# IDs as text


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("72349876", "72349876"),
        (72349876, "72349876"),
        (72349876.0, "72349876"),
        (Decimal(72349876), "72349876"),
        (Decimal("72349876.0"), "72349876"),
        (Decimal("72349876.000"), "72349876"),
        (Decimal("7.2349876E+7"), "72349876"),
        (Decimal("1.50"), "1.5"),
        (1.5, "1.5"),
        (0, "0"),
        (-0.0, "0"),
        (2**63, "9223372036854775808"),
        (Decimal(10**37 + 1), str(10**37 + 1)),
        ("007", "007"),
        ("1e5", "1e5"),
        (" S-1 ", " S-1 "),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (b"\x00\xff", "00ff"),
        pytest.param(memoryview(b"\x00\xff"), "00ff", id="memoryview"),
    ],
    ids=repr,
)
def test_an_id_is_text_and_a_whole_number_has_no_decimal_point(given_, text):
    assert as_text(given_) == text
    assert only(row(given_, identity_key=given_))["conversion_id"] == text
    assert only(row(given_, identity_key=given_))["identity_key"] == text


class OfAnotherDriver(str):
    """A type of its own for text, as some drivers have one."""


NUMBERS_AS_TEXT = [
    (1234567890123456.0, "1234567890123456"),
    (np.float64(1234567890123456.0), "1234567890123456"),
    (float(2**53 - 1), "9007199254740991"),
    (-float(2**53 - 1), "-9007199254740991"),
    (np.float32(16777215), "16777215"),
    (np.float32(0.1), "0.1"),
    (np.float16(2047), "2047"),
    (np.longdouble(7), "7"),
    (1e-7, "0.0000001"),
    (np.int64(7), "7"),
    (np.uint64(2**64 - 1), "18446744073709551615"),
    (np.int8(-1), "-1"),
    (Decimal("1.5"), "1.5"),
    (Decimal("1E+3"), "1000"),
    (Decimal("-0.00"), "0"),
    (Decimal("0E-9"), "0"),
    (Decimal("1E-7"), "0.0000001"),
    (10**499, "1" + "0" * 499),
]
OTHERS_AS_TEXT = [
    (np.str_("a"), "a"),
    (OfAnotherDriver("a"), "a"),
    (np.bytes_(b"\x00\xff"), "00ff"),
    (bytearray(b"\x00\xff"), "00ff"),
    (date(2026, 3, 14), "2026-03-14"),
]


@pytest.mark.parametrize(
    ("given_", "text"), [*NUMBERS_AS_TEXT, *OTHERS_AS_TEXT], ids=lambda value: f"{type(value).__name__}-{value!s:.20}"
)
def test_an_id_is_the_same_text_whatever_the_driver_makes_of_it(given_, text):
    assert as_text(given_) == text
    assert type(as_text(given_)) is str
    record = only(row(given_, identity_key=given_))
    assert (record["conversion_id"], record["identity_key"], record["state"]) == (text, text, "held")


@pytest.mark.parametrize("flag", [True, False, np.bool_(True), np.bool_(False)], ids=repr)
def test_a_boolean_is_a_key_and_tells_no_conversions_apart(flag):
    assert as_text(flag) == str(bool(flag)).lower()
    assert only(row(identity_key=flag))["identity_key"] == str(bool(flag)).lower()
    assert only(row(flag))["reason"] == "invalid_conversion_id"


@pytest.mark.parametrize(
    "nothing",
    [None, pd.NA, pd.NaT, float("nan"), np.float32("nan"), np.longdouble("nan"), Decimal("NaN"), Decimal("sNaN"), "", " \t", "\u200b", "\ufeff\u00a0\u2060", b"", bytearray(),
     pytest.param(memoryview(b""), id="memoryview"), np.str_(""), np.bytes_(b"")],
    ids=repr,
)  # fmt: skip
def test_null_and_nan_are_no_id(nothing):
    record = only(row(nothing))
    assert (record["reason"], record["conversion_id"], record["detail"]) == ("missing_conversion_id", None, None)
    record = only(row(identity_key=nothing))
    assert (record["reason"], record["identity_key"], record["detail"]) == ("missing_identity", None, None)


NO_IDS = [
    (float(2**53), "a floating-point number of 2\\^53 or more.*CAST\\(column AS bigint\\)"),
    (-1e16, "a floating-point number of 2\\^53 or more.*CAST\\(column AS bigint\\)"),
    (1e300, "a floating-point number of 2\\^53 or more"),
    (np.float32(2**24), "a floating-point number of 2\\^24 or more.*CAST\\(column AS bigint\\)"),
    (np.float16(2**11), "a floating-point number of 2\\^11 or more"),
    ("1.79547E+12", "column is a number in scientific notation"),
    ("1,79547e+12 ", "column is a number in scientific notation"),
    ("8E+15", "column is a number in scientific notation"),
    (float("inf"), "infinite"),
    (np.float32("-inf"), "infinite"),
    (Decimal("Infinity"), "infinite"),
    (Decimal("1E+1000000"), "infinite or too long"),
    (Decimal("1E-1000000"), "infinite or too long"),
    (10**5000, "too long"),
    (datetime(2026, 3, 14), "of type datetime.*CAST\\(column AS text\\)"),
    (timedelta(1), "of type timedelta"),
    (np.datetime64("2026-03-14"), "of type datetime64"),
    (["a"], "of type list"),
    ({"a": 1}, "of type dict"),
    (("a",), "of type tuple"),
    (1j, "of type complex"),
]


@pytest.mark.parametrize(
    ("given_", "why"),
    NO_IDS,
    ids=lambda value: f"{type(value).__name__}-{str(value)[:20]}" if not isinstance(value, int) else "int",
)
def test_what_may_have_lost_its_digits_or_has_no_text_of_its_own_is_rejected_with_the_cast_and_without_the_value(given_, why):
    assert as_text(given_) is None
    for column, reason in [("conversion_id", "invalid_conversion_id"), ("identity_key", "missing_identity")]:
        record = only({**row(), column: given_})
        assert (record["state"], record["reason"], record[column]) == ("rejected", reason, None)
        assert re.search(why.replace("column", column), record["detail"])
        assert "16777216" not in record["detail"]


def test_a_number_of_thousands_of_digits_is_a_reason_in_any_column():
    assert only(row(value=10**5000))["reason"] == "invalid_value"
    assert only(row(occurred_at=10**5000), kind=TimestampKind.EPOCH_SECONDS)["reason"] == "invalid_timestamp"


def test_rows_whose_ids_lost_their_digits_stay_apart():
    assert len(judge(row(1e16), row(1e16 + 2), row(1e16)).conversions) == 2


def test_moments_keep_rows_without_an_id_apart():
    assert len(judge(row(None, NOW), row(None, NOW - HOUR)).conversions) == 2


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_number_is_the_same_text_as_integer_float_decimal_and_numpy_scalar(number):
    forms = [number, float(number), Decimal(number), np.int64(number), np.float64(number), Decimal(f"{number}.000"), str(number)]
    assert {as_text(form) for form in forms} == {str(number)}


@given(st.floats(width=32), st.sampled_from([float, np.float32]))
def test_a_float_has_a_text_that_gives_the_float_back_or_none(number, type_):
    text = as_text(type_(number))
    limit = 2**53 if type_ is float else 2**24
    if text is None:
        assert number != number or abs(number) >= limit
    else:
        assert type_(text) == type_(number)
        assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_a_decimal_has_the_text_of_its_number_whatever_its_exponent(number):
    text = as_text(number)
    assert (text is None) == (not number.is_finite() or abs(number.adjusted()) > LONGEST_TEXT)
    if text is not None:
        assert Decimal(text) == number
        assert as_text(number.normalize(Context(prec=2000))) == text


# Placeholders and personal data


@pytest.mark.parametrize(
    "text",
    [
        "undefined",
        "NULL",
        "nan",
        "NaN",
        "None",
        "n/a",
        "(not set)",
        "[object Object]",
        "{}",
        " null ",
        "true",
        "unknown",
        "conversion_id",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_a_placeholder_tells_no_conversions_apart_so_each_of_them_is_rejected(text):
    first, second = records(judge(row(text), row(text, NOW - 2 * HOUR)))
    assert {first["reason"], second["reason"]} == {"invalid_conversion_id"}
    assert first["action_id"] != second["action_id"]
    assert first["conversion_id"] == text
    assert "a program writes where there is none" in first["detail"]


@pytest.mark.parametrize(
    "text",
    ["0", 0, "00", "no", "undefined-1", "nullable", "unknown 7", "#17", "1E5", "1E+5", "1.5E+1", "1.25E+02", "A1+2", "a\u200b"],
)
def test_what_only_looks_like_a_placeholder_is_an_id(text):
    assert only(row(text))["state"] == "held"


ADDRESS = "ada@example.com"
PERSONAL = [
    ADDRESS,
    " ADA@Example.com",
    "order-ada@example.com-1",
    "mailto:ada@example.com",
    "ada%40example.com",
    "+1 415 555 2671",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_in_a_conversion_id_is_rejected_and_kept_nowhere(text):
    record = only(row(text))
    assert (record["state"], record["reason"], record["conversion_id"]) == (
        "rejected",
        "personal_data_in_conversion_id",
        hashed(text),
    )
    assert record["detail"] is None
    assert_without_address(record, text)
    assert only(row(text, NOW - 2 * HOUR))["action_id"] != record["action_id"]


@pytest.mark.parametrize("text", PERSONAL)
def test_a_source_may_hash_it_and_then_the_hash_is_the_id(text):
    record = only(row(text), personal_data=PersonalDataInIds.SHA256)
    assert record == only(row(hashed(text)))
    assert_without_address(record, text)


def test_a_source_whose_order_numbers_look_like_phone_numbers_may_allow_them():
    record = only(row("030-1234567"), personal_data=PersonalDataInIds.ALLOW)
    assert (record["state"], record["conversion_id"]) == ("held", "030-1234567")


@pytest.mark.parametrize("setting", PersonalDataInIds)
def test_an_id_that_is_no_personal_data_is_itself_under_every_setting(setting):
    assert only(row("S-1"), personal_data=setting) == only(row("S-1"))


def test_an_address_in_any_other_column_is_kept_nowhere():
    for given_ in (row(event_name=ADDRESS), row(occurred_at=ADDRESS), row(value=ADDRESS), row(occurred_at="x", timezone=ADDRESS)):
        record = only(given_)
        assert record["state"] == "rejected"
        assert_without_address(record, ADDRESS)
    assert only(row(event_name=ADDRESS))["reason"] == "invalid_event_name"


def assert_without_address(record, text):
    """Neither the text nor a part of an address is in what goes to the ledger."""
    kept = " ".join(str(value) for value in record.values()).lower()
    assert text.strip().lower() not in kept
    assert "example.com" not in kept


def test_a_column_of_single_floats_keeps_their_digits():
    columns = {
        **chunk([row(), row()]),
        "conversion_id": pd.Series([0.1, 16777216], dtype="float32"),
        "value": pd.Series([0.1, None], dtype="float32"),
    }

    first, second = records(evaluate(columns, rules(), LAST_2_DAYS, NOW))
    assert (first["conversion_id"], first["value"], second["reason"]) == ("0.1", Decimal("0.10"), "invalid_conversion_id")


def test_in_a_column_of_floats_nan_is_null_and_as_a_value_of_its_own_it_is_wrong():
    typed = {**chunk([row(), row("S-2")]), "value": pd.Series([1.5, None])}
    first, second = records(evaluate(typed, rules(), LAST_2_DAYS, NOW))

    assert (first["value"], second["value"], second["reason"]) == (Decimal("1.50"), None, "unknown_user")
    assert only(row(value=float("nan")))["reason"] == "invalid_value"


def test_a_column_of_integers_with_a_null_keeps_its_integers():
    columns = {**chunk([row(), row()]), "conversion_id": pd.Series([72349876, None]), "identity_key": pd.Series([1, 2])}

    first, _ = records(evaluate(columns, rules(), LAST_2_DAYS, NOW))
    assert (first["conversion_id"], first["identity_key"]) == ("72349876", "1")


@pytest.mark.parametrize(
    "unfit",
    ["S\x001", "S\ud800", "\udfff", "x" * (LONGEST_TEXT + 1), "\x00", "x" * 100_000, "💥" * 501],
    ids=lambda unfit: ascii(unfit)[:20],
)
def test_an_id_that_the_ledger_cannot_hold_is_a_reason_and_what_is_kept_of_it_can_be_held(unfit):
    for record, reason in [
        (only(row(unfit)), "invalid_conversion_id"),
        (only(row(identity_key=unfit)), "missing_identity"),
        (only(row(event_name=unfit)), "invalid_event_name"),
        (only(row(value=unfit)), "invalid_value"),
        (only(row(occurred_at=unfit)), "invalid_timestamp"),
        (only(row(occurred_at="2026-03-14 20:00", timezone=unfit), kind=TimestampKind.LOCAL), "unknown_timezone"),
    ]:
        assert (record["state"], record["reason"]) == ("rejected", reason)
        assert_storable(record)


def test_the_longest_id_is_taken():
    assert only(row("x" * LONGEST_TEXT, identity_key="💥" * LONGEST_TEXT))["state"] == "held"


def test_over_long_ids_that_begin_alike_stay_apart():
    assert len(judge(row("x" * 600 + "1"), row("x" * 600 + "2")).conversions) == 2


# Sameness


def test_equal_rows_are_one_conversion():
    evaluated = judge(
        row(value="10"), row(value="10.00"), row(value=Decimal("10.001"), occurred_at=NOW - HOUR + timedelta(microseconds=999))
    )

    (record,) = records(evaluated)
    assert record["alike"] == 3
    assert evaluated.tally == Tally(
        read=Amount(rows=3, value=Decimal(30)),
        recorded=Amount(rows=1, value=Decimal(10)),
        duplicates=Amount(rows=2, value=Decimal(20)),
    )


@pytest.mark.parametrize(
    ("stands", "other"),
    [
        ({"occurred_at": NOW - 2 * HOUR, "value": "20"}, {"occurred_at": NOW - HOUR, "value": "10"}),
        ({"occurred_at": NOW - HOUR, "value": "10"}, {"occurred_at": NOW - HOUR, "value": "20"}),
        ({"occurred_at": NOW - HOUR, "value": "10"}, {"occurred_at": NOW - HOUR, "value": None}),
        ({"occurred_at": NOW - HOUR, "value": "10"}, {"occurred_at": NOW - HOUR, "value": "-5"}),
        ({"occurred_at": NOW + HOUR, "value": "10"}, {"occurred_at": None, "value": "5"}),
        ({"occurred_at": NOW - HOUR, "value": "10"}, {"occurred_at": "junk", "value": "5"}),
        ({"occurred_at": NOW - HOUR, "identity_key": "a"}, {"occurred_at": NOW - HOUR, "identity_key": "b"}),
        ({"occurred_at": NOW - HOUR, "identity_key": "a"}, {"occurred_at": NOW - HOUR, "identity_key": None}),
        ({"occurred_at": NOW - HOUR}, {"occurred_at": NOW - 3 * DAY}),
        ({"occurred_at": NOW - HOUR}, {"occurred_at": NOW + HOUR}),
        ({"occurred_at": NOW + HOUR}, {"occurred_at": NOW - 3 * DAY}),
        ({"occurred_at": NOW - 3 * DAY}, {"occurred_at": NOW - HOUR, "value": "-5"}),
        ({"occurred_at": NOW - HOUR, "value": "10"}, {"occurred_at": NOW - 2 * HOUR, "value": "-5"}),
        ({"occurred_at": NOW - HOUR}, {"occurred_at": NOW - 2 * HOUR, "identity_key": None}),
        ({"occurred_at": "junk"}, {"occurred_at": "more junk"}),
        ({"value": "?"}, {"value": "??"}),
    ],
)
def test_of_rows_that_conflict_what_can_be_sent_stands_then_the_earliest_moment_then_the_smaller_value(stands, other):
    stands, other = {**row(), **stands}, {**row(), **other}
    alone = only(stands)
    for rows in ([stands, other], [other, stands], [other, stands, stands]):
        evaluated = judge(*rows)
        assert records(evaluated) == [{**alone, "alike": rows.count(stands)}]
        assert evaluated.tally.conflicting.rows == 1
        assert evaluated.tally.duplicates.rows == len(rows) - 2
        assert evaluated.tally.adds_up


def test_two_ids_two_events_and_two_sources_are_no_duplicates():
    rows = [row("S-1"), row("S-2"), row("S-1", event_name="lead"), row("S-1 "), row("s-1")]
    evaluated = judge(*rows)

    assert len(evaluated.conversions) == 5
    assert evaluated.tally.duplicates == Amount()
    assert only(row(), source="crm")["action_id"] != only(row())["action_id"] != only(row(), destination="other")["action_id"]


def test_rows_without_an_id_stay_distinct_if_they_say_anything_else_and_equal_ones_collapse():
    local = {"kind": TimestampKind.LOCAL, "timezone": "UTC"}
    base = row(None, "2026-03-14 20:00", "card-1", value="10", timezone="Europe/Berlin", event_name="sale")
    changes = [{}, {"occurred_at": "2026-03-14 20:01"}, {"identity_key": "card-2"}, {"value": "11"}, {"timezone": "Europe/London"}, {"event_name": "lead"},
               {"identity_key": None}, {"value": None}, {"occurred_at": None}, {"identity_key": "None"}]  # fmt: skip
    rows = [{**base, **change} for change in changes]
    evaluated = judge(*rows, *rows, **local)

    assert len(evaluated.conversions) == len(rows)
    assert evaluated.tally.duplicates.rows == len(rows)
    assert evaluated.tally.conflicting.rows == 0
    assert {record["reason"] for record in records(evaluated)} == {"missing_conversion_id"}


def test_a_row_without_an_id_is_found_again_in_the_next_run():
    one = only(row(None, value="10"))["action_id"]

    assert only(row("  ", value="10"), now=NOW + HOUR)["action_id"] == one


few_rows = st.builds(
    row,
    st.sampled_from(["S-1", "S-2", None]),
    st.sampled_from([NOW - HOUR, NOW - 2 * HOUR, NOW + HOUR, NOW - 3 * DAY, NOW - 40 * DAY, None, "junk", "more junk"]),
    st.sampled_from(["card-1", "card-2", None]),
    value=st.sampled_from(["10", "10.00", "20", "-1", "?", "??", None]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(few_rows, min_size=2, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_the_rows_never_matters(rows_and_shuffled):
    one, other = (judge(*rows) for rows in rows_and_shuffled)

    def by_id(record):
        return record["action_id"]

    assert sorted(records(one), key=by_id) == sorted(records(other), key=by_id)
    assert one.tally == other.tally


# Any row

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**38), 10**38),
    st.floats(),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.text(st.characters(), max_size=30),
    st.datetimes(
        timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=14))) | st.just(timezone(timedelta(hours=-12)))
    ),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.binary(max_size=8),
    st.binary(max_size=8).map(memoryview),
    st.uuids(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from([pd.NaT, pd.NA, time(12), date(2026, 3, 14), "infinity", "-infinity", "x" * 600]),
)
recent = st.timedeltas(-3 * DAY, HOUR).map(lambda age: NOW + age)
plausible = st.fixed_dictionaries(
    {
        "conversion_id": st.sampled_from(["S-1", "S-2", 7, 7.0]) | anything,
        "occurred_at": recent
        | recent.map(lambda moment: moment.replace(tzinfo=None))
        | recent.map(str)
        | recent.map(datetime.timestamp)
        | recent.map(to_milliseconds)
        | anything,
        "identity_key": st.sampled_from(["card-1", 7]) | anything,
    },
    optional={
        "event_name": st.sampled_from(["sale", "lead", None]) | anything,
        "value": st.decimals(-1, 1000, places=3) | anything,
        "timezone": st.sampled_from(["Europe/Berlin", "Pacific/Kiritimati", "", None]) | anything,
    },
)
any_rules = st.builds(
    rules,
    event_name=st.sampled_from(["sale", None]),
    kind=st.sampled_from(TimestampKind),
    timezone=st.sampled_from(["America/New_York", None]),
    ambiguous=st.sampled_from(Ambiguous),
    nonexistent=st.sampled_from(Nonexistent),
    goals=st.none() | st.just([Goal(event_name="sale", valid_from=NOW - DAY, valid_to=None)]),
)


def assert_storable(record):
    for name in ("action_id", "event_name", "conversion_id", "identity_key", "state", "reason", "detail"):
        text = record[name]
        assert text is None or (0 < len(text) <= 700 and "\x00" not in text and text.encode("utf-8"))
    assert record["value"] is None or 0 <= record["value"] < 10**13
    assert record["action_timestamp_ms"] is None or -(2**62) < record["action_timestamp_ms"] < 2**62


@settings(deadline=None, max_examples=200)
@given(st.lists(plausible, max_size=4), any_rules)
def test_any_row_ends_in_exactly_one_state_with_a_reason_where_it_is_not_sendable_and_nothing_breaks(rows, any_rules):
    columns = chunk(rows) or chunk([row()])
    window = Window(start=NOW - DAY, end=NOW + DAY)
    evaluated = evaluate(columns, any_rules, window, NOW)

    read = len(columns["occurred_at"])
    found = records(evaluated)
    assert evaluated.tally.adds_up
    assert evaluated.tally.read.rows == read
    assert evaluated.tally.recorded == Amount(rows=len(found), value=sum((record["value"] or 0 for record in found), Decimal(0)))
    assert evaluated.conversions["action_id"].is_unique
    for record in found:
        assert_storable(record)
        moment, reason = record["action_timestamp_ms"], record["reason"]
        match record["state"]:
            case "future":
                assert reason is None
                assert moment > to_milliseconds(NOW)
            case "held":
                assert reason == Reason.UNKNOWN_USER
                assert max(window.interval.start_ms, to_milliseconds(NOW - 2 * DAY)) <= moment <= to_milliseconds(NOW)
                assert is_event_name(record["event_name"])
                assert record["conversion_id"]
                assert record["identity_key"]
            case "expired":
                assert reason == Reason.EXPIRED_BEFORE_SEEN
                assert moment < to_milliseconds(NOW - 2 * DAY)
            case state:
                assert state == "rejected"
                assert explain(reason).state is State.REJECTED


@settings(deadline=None, max_examples=60)
@given(
    st.lists(few_rows, min_size=1, max_size=8),
    st.sampled_from([Window.of_date(date(2026, 3, 14)), Window.of_date(date(2026, 3, 13)), LAST_2_DAYS]),
)
def test_the_tally_adds_up_by_rows_and_by_money_and_counts_every_source_row_that_is_alike_or_conflicts(rows, window):
    evaluated = judge(*rows, window=window)
    tally = evaluated.tally

    money = sum((Decimal(one["value"]) for one in rows if one["value"] in ("10", "10.00", "20")), Decimal(0))
    assert tally.read == tally.accounted == Amount(rows=len(rows), value=money)
    alike = int(evaluated.conversions["alike"].sum())
    assert alike + tally.conflicting.rows <= len(rows)
    if tally.too_old.rows == tally.outside.rows == 0:
        assert alike + tally.conflicting.rows == len(rows)


@pytest.mark.parametrize(
    "wrong",
    [
        {"recorded": Amount(rows=1)},
        {"read": Amount(rows=1)},
        {"duplicates": Amount(value=Decimal("0.01"))},
        {"conflicting": Amount(rows=1)},
        {"outside": Amount(rows=1)},
        {"too_old": Amount(value=Decimal(1))},
    ],
)
def test_a_tally_that_lacks_a_row_or_a_cent_does_not_add_up(wrong):
    assert Tally().adds_up
    assert not Tally(**wrong).adds_up


def test_tallies_of_chunks_add_to_that_of_the_source():
    one = judge(row("S-1", value="1"), row("S-1", value="2"), row("S-2", NOW - 40 * DAY, value="4")).tally
    other = judge(row("S-3", value="8"), row("S-4", NOW - 47 * HOUR, value="16"), window=Window.of_date(date(2026, 3, 14))).tally

    assert one + other == Tally(
        read=Amount(rows=5, value=Decimal(31)),
        recorded=Amount(rows=2, value=Decimal(9)),
        conflicting=Amount(rows=1, value=Decimal(2)),
        outside=Amount(rows=1, value=Decimal(16)),
        too_old=Amount(rows=1, value=Decimal(4)),
    )


def test_a_chunk_without_rows_has_no_conversions_and_adds_up():
    columns = {
        name: pd.Series([], dtype=object)
        for name in ("conversion_id", "occurred_at", "identity_key", "value", "timezone", "event_name")
    }
    evaluated = evaluate(columns, rules(goals=[]), LAST_2_DAYS, NOW)

    assert (len(evaluated.conversions), evaluated.tally) == (0, Tally())


@given(
    st.text(st.sampled_from("aZ09_-@.+%/ é\n\0"), max_size=12)
    | st.text("09a", min_size=LONGEST_TEXT - 2, max_size=LONGEST_TEXT + 2)
    | st.from_regex(r"(tel:)?0[1-9][0-9]{2}[-_a]?[0-9]{6}", fullmatch=True)
)
@example("0151-1234567")
def test_what_is_plain_needs_none_of_the_looks_that_it_is_spared(text):
    if is_plain(text):
        assert (storable(text), quote(text, safe="")) == (text, text)
        assert not looks_like_personal_data(text)
        assert not has_email(text)
