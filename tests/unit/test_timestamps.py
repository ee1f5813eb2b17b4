"""Source timestamps become UTC milliseconds: floored, never guessed, and a reason for each that is no moment."""

import math
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webflow_conversions.rules.source import Ambiguous, Nonexistent, TimestampKind, is_zone
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.timestamps import to_utc_milliseconds

LOCAL, AWARE = TimestampKind.LOCAL, TimestampKind.AWARE
SECONDS, MILLISECONDS = TimestampKind.EPOCH_SECONDS, TimestampKind.EPOCH_MILLISECONDS

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
KIRITIMATI, BAKER_ISLAND = "Pacific/Kiritimati", "Etc/GMT+12"
"""14 hours before and 12 hours behind UTC: the widest there are."""


def read(value, kind, zone=None, **rules):
    """One value of an object column: its moment, or the reason that there is none."""
    milliseconds, reasons = to_utc_milliseconds(pd.Series([value], dtype=object), kind=kind, zones=zone, **rules)
    return int(milliseconds[0]) if reasons[0] is None else reasons[0]


def utc(text):
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


# The contract's own example


@pytest.mark.parametrize(
    ("value", "kind", "zone"),
    [
        (datetime(2022, 5, 25, 17, 30, 58, 136_000), LOCAL, "America/New_York"),
        (pd.Timestamp("2022-05-25 17:30:58.136"), LOCAL, "America/New_York"),
        ("2022-05-25 17:30:58.136", LOCAL, "America/New_York"),
        ("2022-05-25T17:30:58.136", LOCAL, "America/New_York"),
        (datetime(2022, 5, 25, 21, 30, 58, 136_000, tzinfo=UTC), AWARE, None),
        (datetime(2022, 5, 25, 17, 30, 58, 136_000, tzinfo=ZoneInfo("America/New_York")), AWARE, None),
        (datetime(2022, 5, 26, 3, 0, 58, 136_000, tzinfo=timezone(timedelta(hours=5, minutes=30))), AWARE, None),
        ("2022-05-25 21:30:58.136+00", AWARE, None),
        ("2022-05-25T21:30:58.136Z", AWARE, None),
        ("2022-05-25 17:30:58.136-04:00", AWARE, None),
        ("2022-05-26T03:00:58.136+0530", AWARE, None),
        ("1653514258.136", SECONDS, None),
        (Decimal("1653514258.136"), SECONDS, None),
        (1653514258.136, SECONDS, None),
        ("1653514258136", MILLISECONDS, None),
        (Decimal(1653514258136), MILLISECONDS, None),
        (Decimal("1.653514258136E+12"), MILLISECONDS, None),
        (1653514258136.0, MILLISECONDS, None),
        (1653514258136, MILLISECONDS, None),
    ],
)
def test_the_documented_example_is_its_documented_number_in_every_kind_and_every_type(value, kind, zone):
    assert read(value, kind, zone) == 1653514258136


def test_whole_seconds_are_taken_as_int():
    assert read(1653514258, SECONDS) == 1653514258000


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series(pd.to_datetime(["2022-05-25 17:30:58.136"])), LOCAL),
        (pd.Series(pd.to_datetime(["2022-05-25 21:30:58.136"], utc=True)), AWARE),
        (pd.Series(pd.to_datetime(["2022-05-25 17:30:58.136"]).tz_localize("America/New_York")), AWARE),
        (pd.Series([1653514258.136]), SECONDS),
        (pd.Series([1653514258136]), MILLISECONDS),
        (pd.Series([1653514258136.0]), MILLISECONDS),
        (pd.Series([1653514258136], dtype="Int64"), MILLISECONDS),
    ],
)
def test_a_typed_pandas_column_reads_like_a_column_of_objects(column, kind):
    milliseconds, reasons = to_utc_milliseconds(column, kind=kind, zones="America/New_York")

    assert (milliseconds.tolist(), reasons.tolist()) == ([1653514258136], [None])


# Local times


@cache
def clock_changes(zone):
    """The moments from 2020 to 2035 at which the zone's offset changes, found by looking, with the offsets before and after."""
    changes = []
    day, end, step = datetime(2020, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC), timedelta(days=1)
    before = zone.utcoffset(day.astimezone(zone))
    while day < end:
        after = zone.utcoffset((day + step).astimezone(zone))
        if after != before:
            first, last = day, day + step
            while last - first > timedelta(minutes=1):
                middle = first + (last - first) // timedelta(minutes=2) * timedelta(minutes=1)
                first, last = (middle, last) if zone.utcoffset(middle.astimezone(zone)) == before else (first, middle)
            changes.append((last, before, after))
        day, before = day + step, after
    return changes


AROUND_A_CHANGE = [
    timedelta(minutes=sign * minutes, microseconds=microseconds)
    for sign in (-1, 1)
    for minutes in (0, 1, 15, 29, 30, 31, 59, 60, 61, 90)
    for microseconds in (-1, 0, 999)
]
FAR_FROM_CHANGES = [datetime(year, month, 11, 12, 30, 15, 999_999) for year in range(2020, 2036) for month in (1, 4, 7, 10)]
FAR_YEARS = [
    datetime(year, month, 28, 23, 59, 59, 999_999)
    for year in (1, 2, 1600, 1883, 1945, 1969, 1970, 2037, 2038, 2100, 9998, 9999)
    for month in (2, 8)
]


@cache
def probes(name):
    """Wall-clock times of a zone: before, in and after all that its clock changes repeat or skip."""
    walls = [
        (moment + offset).replace(tzinfo=None) + distance
        for moment, before, after in clock_changes(ZoneInfo(name))
        for offset in {before, after}
        for distance in AROUND_A_CHANGE
    ]
    return sorted({*walls, *FAR_FROM_CHANGES, *FAR_YEARS})


def offsets(name, wall):
    zone = ZoneInfo(name)
    return zone.utcoffset(wall.replace(fold=0)), zone.utcoffset(wall.replace(fold=1))


def judged_by_zoneinfo(name, wall):
    """PEP 495: with fold=0 a repeated time is its first, a skipped one has the offset before; with fold=1 the second, and after."""
    first, second = offsets(name, wall)
    is_repeated = first > second
    return ((wall - EPOCH) // MICROSECOND - (second if is_repeated else first) // MICROSECOND) // 1000


ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})


def test_local_times_of_every_zone_agree_with_zoneinfo_around_every_clock_change_from_2020_to_2035():
    wrong, compared = [], 0
    for name in ZONES:
        walls = probes(name)
        milliseconds, reasons = to_utc_milliseconds(pd.Series(walls, dtype="datetime64[us]"), kind=LOCAL, zones=name)
        assert not reasons.any(), name
        wrong += [
            (name, wall, got, expected)
            for wall, got in zip(walls, milliseconds.tolist(), strict=True)
            if got != (expected := judged_by_zoneinfo(name, wall))
        ]
        compared += len(walls)

    assert wrong == []
    assert len(ZONES) > 550
    assert sum(len(clock_changes(ZoneInfo(name))) for name in ZONES) > 5_000
    assert compared > 450_000


def test_sources_that_reject_get_a_reason_for_every_repeated_and_every_skipped_time_and_for_no_other():
    found = {None: 0, Reason.AMBIGUOUS_LOCAL_TIME: 0, Reason.NONEXISTENT_LOCAL_TIME: 0}
    for name in ZONES[::5]:
        walls = probes(name)
        _, reasons = to_utc_milliseconds(
            pd.Series(walls, dtype=object), kind=LOCAL, zones=name, ambiguous=Ambiguous.REJECT, nonexistent=Nonexistent.REJECT
        )
        for wall, reason in zip(walls, reasons, strict=True):
            first, second = offsets(name, wall)
            expected = (
                None if first == second else Reason.AMBIGUOUS_LOCAL_TIME if first > second else Reason.NONEXISTENT_LOCAL_TIME
            )
            assert reason == expected, (name, wall)
            found[reason] += 1

    assert min(found.values()) > 5_000


def test_a_column_of_many_zones_is_read_row_by_row_in_its_own_zone():
    rows = [(name, wall) for name in ZONES for wall in probes(name)[::97]]
    rows = rows[::2] + rows[1::2][::-1]
    milliseconds, reasons = to_utc_milliseconds(
        pd.Series([wall for _, wall in rows], dtype=object), kind=LOCAL, zones=pd.Series([name for name, _ in rows], dtype=object)
    )

    assert milliseconds.tolist() == [judged_by_zoneinfo(name, wall) for name, wall in rows]
    assert not reasons.any()


def next_turn(name, wall):
    """The first second of a zone's wall clock after ``wall`` at which its offsets change; ``wall`` where none does in a year."""
    known = offsets(name, wall)
    for hours in range(1, 366 * 24):
        if offsets(name, wall + timedelta(hours=hours)) != known:
            first, last = wall + timedelta(hours=hours - 1), wall + timedelta(hours=hours)
            while last - first > timedelta(seconds=1):
                middle = first + (last - first) // timedelta(seconds=2) * timedelta(seconds=1)
                first, last = (middle, last) if offsets(name, middle) == known else (first, middle)
            return last
    return wall


WHOLE_SECONDS = st.datetimes(datetime(1850, 1, 1), datetime(2110, 1, 1)).map(lambda wall: wall.replace(microsecond=0))
AROUND_A_TURN = st.timedeltas(timedelta(hours=-3), timedelta(hours=3)) | st.sampled_from((-1, 0, 1)).map(MICROSECOND.__mul__)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(ZONES), WHOLE_SECONDS, st.lists(AROUND_A_TURN, min_size=1)), min_size=1, max_size=4),
    st.randoms(),
)
def test_random_zones_and_local_times_around_clock_changes_of_every_century_agree_with_zoneinfo_row_by_row(chosen, dice):
    turns = [(name, next_turn(name, wall), distances) for name, wall, distances in chosen]
    rows = [(name, turn + distance) for name, turn, distances in turns for distance in distances]
    dice.shuffle(rows)
    milliseconds, reasons = to_utc_milliseconds(
        pd.Series([wall for _, wall in rows], dtype=object),
        kind=LOCAL,
        zones=pd.Series([name for name, _ in rows], dtype=object),
        ambiguous=Ambiguous.REJECT,
        nonexistent=Nonexistent.REJECT,
    )
    for (name, wall), got, reason in zip(rows, milliseconds.tolist(), reasons, strict=True):
        first, second = offsets(name, wall)
        assert got == judged_by_zoneinfo(name, wall), (name, wall)
        assert (reason is Reason.AMBIGUOUS_LOCAL_TIME, reason is Reason.NONEXISTENT_LOCAL_TIME) == (
            first > second,
            first < second,
        )


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Pacific/Kiritimati", datetime(1994, 12, 30), datetime(1995, 1, 2)),  # skips the last day of a year
        ("Africa/Freetown", datetime(1939, 8, 31), datetime(1939, 9, 6)),  # changes and changes back within four days
        ("Asia/Manila", datetime(1844, 12, 30), datetime(1845, 1, 2)),
        ("Africa/Monrovia", datetime(1972, 1, 6), datetime(1972, 1, 8)),  # by 44 minutes and 30 seconds
    ],
)
def test_a_year_that_ends_in_a_clock_change_and_a_change_that_is_taken_back_are_read_as_zoneinfo_reads_them(name, first, last):
    walls = [first + timedelta(seconds=seconds) for seconds in range(0, (last - first) // timedelta(seconds=1), 599)]
    rules = {"kind": LOCAL, "zones": name, "ambiguous": Ambiguous.REJECT, "nonexistent": Nonexistent.REJECT}
    milliseconds, reasons = to_utc_milliseconds(pd.Series(walls, dtype=object), **rules)

    assert len({offsets(name, wall) for wall in walls}) > 1
    assert milliseconds.tolist() == [judged_by_zoneinfo(name, wall) for wall in walls]
    assert [reason is None for reason in reasons] == [
        first == second for first, second in (offsets(name, wall) for wall in walls)
    ]


@pytest.mark.parametrize(
    ("wall", "zone", "moment"),
    [
        ("2026-11-01 01:30", "America/New_York", "2026-11-01 06:30"),  # repeated, 05:30 or 06:30: the later
        ("2026-03-08 02:30", "America/New_York", "2026-03-08 07:30"),  # skipped: by the offset of five hours before the gap
        ("2026-10-04 02:15", "Australia/Lord_Howe", "2026-10-03 15:45"),  # half an hour skipped
        ("2026-04-05 01:45", "Australia/Lord_Howe", "2026-04-04 15:15"),  # half an hour repeated
        ("2026-10-25 01:30", "Europe/Dublin", "2026-10-25 01:30"),  # whose summer is the standard time
        ("2011-12-30 12:00", "Pacific/Apia", "2011-12-30 22:00"),  # a whole day skipped
        ("2026-07-01 12:00", "Asia/Tokyo", "2026-07-01 03:00"),
        ("2026-07-01 12:00", "Asia/Kathmandu", "2026-07-01 06:15"),
    ],
)
def test_a_repeated_time_is_the_later_one_and_a_skipped_time_takes_the_offset_before(wall, zone, moment):
    assert read(wall, LOCAL, zone) == utc(moment)


def test_a_source_may_reject_only_what_is_repeated_or_only_what_is_skipped():
    repeated, skipped = "2026-11-01 01:30", "2026-03-08 02:30"

    assert read(repeated, LOCAL, "America/New_York", ambiguous=Ambiguous.REJECT) is Reason.AMBIGUOUS_LOCAL_TIME
    assert read(skipped, LOCAL, "America/New_York", ambiguous=Ambiguous.REJECT) == utc("2026-03-08 07:30")
    assert read(skipped, LOCAL, "America/New_York", nonexistent=Nonexistent.REJECT) is Reason.NONEXISTENT_LOCAL_TIME
    assert read(repeated, LOCAL, "America/New_York", nonexistent=Nonexistent.REJECT) == utc("2026-11-01 06:30")


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Berln",
        "europe/berlin",
        "EUROPE/BERLIN",
        " Europe/Berlin",
        "CEST",
        "+02:00",
        "localtime",
        "../etc/passwd",
        "/etc/localtime",
        "",
        " ",
        "x" * 999,
        "Europe",
        None,
        2,
        ["UTC"],
        "\x00",
    ],
)
def test_a_zone_that_the_database_does_not_have_is_a_reason_for_its_row_alone(name):
    rows = pd.Series(["2026-03-14 12:00"] * 2, dtype=object)
    milliseconds, reasons = to_utc_milliseconds(rows, kind=LOCAL, zones=pd.Series([name, "UTC"], dtype=object))

    assert reasons.tolist() == [Reason.UNKNOWN_TIMEZONE, None]
    assert milliseconds[1] == utc("2026-03-14 12:00")


def test_a_reason_is_a_member_of_the_enum_not_a_bare_string():
    for kind in TimestampKind:
        assert isinstance(read(None, kind), Reason)
        assert isinstance(read("junk", kind, "UTC"), Reason)
    assert isinstance(read("2026-03-14 12:00", LOCAL, None), Reason)


def test_without_any_zone_a_local_time_is_no_moment():
    assert read("2026-03-14 12:00", LOCAL, None) is Reason.UNKNOWN_TIMEZONE


def test_zones_are_known_by_their_name_to_the_letter():
    assert is_zone("Europe/Berlin")
    assert not is_zone("europe/berlin")


# What is no moment


@pytest.mark.parametrize("nothing", [None, pd.NaT, pd.NA, np.datetime64("NaT"), "", "   "], ids=repr)
def test_nothing_is_a_missing_timestamp_in_every_kind(nothing):
    assert [read(nothing, kind, "UTC") for kind in TimestampKind] == [Reason.MISSING_TIMESTAMP] * 4


@pytest.mark.parametrize("kind", TimestampKind)
def test_a_column_of_nothing_and_a_column_without_rows_are_read(kind):
    assert to_utc_milliseconds(pd.Series([None, None], dtype=object), kind=kind)[1].tolist() == [Reason.MISSING_TIMESTAMP] * 2
    assert len(to_utc_milliseconds(pd.Series([], dtype=object), kind=kind)[0]) == 0


def test_in_a_column_of_floats_nan_is_how_pandas_writes_null():
    _, reasons = to_utc_milliseconds(pd.Series([1653514258.0, None]), kind=TimestampKind.EPOCH_SECONDS)

    assert reasons.tolist() == [None, Reason.MISSING_TIMESTAMP]


NO_MOMENT = [
    *("infinity", "-infinity", "now", "today", "epoch", "0044-03-15 12:00:00 BC", "10000-01-01 00:00:00", "-0001-01-01 00:00:00"),
    *("2026-03-14", "2026-W11-6", "2026-W11-6T12:00", "2026-073T12:00", "12:00", "14.03.2026 12:00", "03/14/2026 12:00"),
    *("2026-02-30 12:00", "2026-13-01 12:00", "2026-00-10 12:00", "0000-01-01 00:00", "2026-03-14 24:00", "2026-03-14 24:00:00", "2026-03-14 25:00"),
    *("2016-12-31 23:59:60", "2026-03-14 12:60", "2026-03-14 12", "2026-03-14 12:00 PM", "2026-03-14 12:00 CET"),
    *("2026-03-14 12:0012", "2026-03-14 12:00:0012", "2026-03-14 12:00.5", "2026-03-14 12:00:00.", "2026-03-14  12:00"),
    *("２０２６-03-14 12:00", "٢٠٢٦-٠٣-١٤ ١٢:٠٠", "2026-03-14 12:00\x00", "nan", "None", "null", "1_000", "$1", "１６５３５１４２５８", "1653514258s", "0x62", "++1", "1e", "--1"),
    *(True, False, date(2026, 3, 14), time(12), timedelta(days=1), [2026, 3, 14], {}, b"2026-03-14 12:00", 3 + 4j),
    *(float("nan"), Decimal("NaN"), float("inf"), float("-inf"), Decimal("Infinity"), Decimal("-Infinity"), 10**30, -(10**30), 10**400, 1e308, Decimal("1E+400"), "1e400", "9" * 5000),
]  # fmt: skip


@pytest.mark.parametrize("junk", NO_MOMENT, ids=lambda junk: repr(junk)[:40])
def test_what_is_no_moment_is_an_invalid_timestamp_in_every_kind(junk):
    assert [read(junk, kind, "UTC") for kind in TimestampKind] == [Reason.INVALID_TIMESTAMP] * 4


def test_a_time_with_an_offset_is_no_local_time_and_one_without_is_no_aware_time():
    for with_offset in ("2026-03-14 12:00+00", "2026-03-14T12:00Z", "2026-03-14 12:00 -05:00", datetime(2026, 3, 14, tzinfo=UTC)):
        assert read(with_offset, LOCAL, "UTC") is Reason.INVALID_TIMESTAMP
        assert isinstance(read(with_offset, AWARE), int)
    for without in ("2026-03-14 12:00", "2026-03-14T12:00:00.5", datetime(2026, 3, 14), pd.Timestamp("2026-03-14")):
        assert isinstance(read(without, LOCAL, "UTC"), int)
        assert read(without, AWARE) is Reason.INVALID_TIMESTAMP


@pytest.mark.parametrize(
    "offset", ["+25:00", "+24:00", "-99", "+02:60", "+14:75", "+00:00:60", "+2", "+02:0", "+02:00:0", "+02:00:00:00"]
)
def test_an_offset_that_no_clock_can_have_is_an_invalid_timestamp(offset):
    assert read(f"2026-03-14 12:00{offset}", AWARE) is Reason.INVALID_TIMESTAMP


def test_dates_and_numbers_are_not_mistaken_for_each_other():
    for number in (1653514258, 1653514258136, 1653514258.136, Decimal("1653514258.136"), "1653514258136"):
        assert read(number, LOCAL, "UTC") is Reason.INVALID_TIMESTAMP
        assert read(number, AWARE) is Reason.INVALID_TIMESTAMP
    for moment in (datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 14), "2026-03-14 12:00+00", pd.Timestamp("2026-03-14")):
        assert read(moment, SECONDS) is Reason.INVALID_TIMESTAMP
        assert read(moment, MILLISECONDS) is Reason.INVALID_TIMESTAMP
    typed = pd.Series(pd.to_datetime(["2026-03-14"]))
    assert to_utc_milliseconds(typed, kind=SECONDS)[1].tolist() == [Reason.INVALID_TIMESTAMP]
    assert to_utc_milliseconds(typed, kind=AWARE)[1].tolist() == [Reason.INVALID_TIMESTAMP]
    assert to_utc_milliseconds(typed.dt.tz_localize("UTC"), kind=LOCAL, zones="UTC")[1].tolist() == [Reason.INVALID_TIMESTAMP]


@pytest.mark.parametrize("kind", [LOCAL, AWARE])
def test_two_moments_on_two_lines_of_one_text_are_an_invalid_timestamp(kind):
    text = "2026-03-14 12:00:00" if kind is LOCAL else "2026-03-14 12:00:00+00"
    _, reasons = to_utc_milliseconds(pd.Series([f"{text}\n{text}", text], dtype=object), kind=kind, zones="UTC")

    assert reasons.tolist() == [Reason.INVALID_TIMESTAMP, None]


def test_junk_in_a_column_leaves_its_neighbours_alone():
    column = [datetime(2026, 3, 14, 12), "infinity", "2026-03-14 12:00", None, 7, "2026-03-14 12:00:00.9999999"]
    milliseconds, reasons = to_utc_milliseconds(pd.Series(column, dtype=object), kind=LOCAL, zones="Europe/Berlin")

    eleven = utc("2026-03-14 11:00")
    assert milliseconds[[0, 2, 5]].tolist() == [eleven, eleven, eleven + 999]
    assert reasons.tolist() == [None, Reason.INVALID_TIMESTAMP, None, Reason.MISSING_TIMESTAMP, Reason.INVALID_TIMESTAMP, None]


# The wrong unit


@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        (1653514258136, SECONDS),
        (1653514258136000, SECONDS),
        (1653514258136000000, SECONDS),
        (1653514258, MILLISECONDS),
        (1653514258136000, MILLISECONDS),
        (1653514258136000000, MILLISECONDS),
        (0, MILLISECONDS),
        (10**11, SECONDS),
        (10**11 - 1, MILLISECONDS),
    ],
)
def test_the_unit_that_was_not_promised_is_an_invalid_timestamp_not_a_moment_far_away(moment, kind):
    assert [read(as_type(moment), kind) for as_type in (int, float, str, Decimal)] == [Reason.INVALID_TIMESTAMP] * 4


@pytest.mark.parametrize(
    ("text", "kind"), [("1.79547E+12", TimestampKind.EPOCH_MILLISECONDS), ("1.79547e+09", TimestampKind.EPOCH_SECONDS)]
)
def test_an_epoch_of_which_only_the_first_digits_are_left_is_an_invalid_timestamp(text, kind):
    _, reasons = to_utc_milliseconds(pd.Series([text], dtype=object), kind=kind)
    assert list(reasons) == [Reason.INVALID_TIMESTAMP]


def test_no_number_can_be_taken_for_seconds_and_for_milliseconds():
    for number in (-(10**12), -(10**11), -(10**11) + 1, -1, 0, 1, 10**11 - 1, 10**11, 10**12):
        assert isinstance(read(number, SECONDS), int) != isinstance(read(number, MILLISECONDS), int)


# Never rounded up


@pytest.mark.parametrize(
    ("value", "kind", "milliseconds"),
    [
        ("2026-03-14 12:00:00.999999", LOCAL, "2026-03-14 12:00:00.999"),
        ("2026-03-14 12:00:00.9999999999", LOCAL, "2026-03-14 12:00:00.999"),
        (datetime(2026, 3, 14, 12, 0, 0, 999_999), LOCAL, "2026-03-14 12:00:00.999"),
        (pd.Timestamp("2026-03-14 12:00:00.999999999"), LOCAL, "2026-03-14 12:00:00.999"),
        ("2026-03-14 12:00:00.000999+00", AWARE, "2026-03-14 12:00:00.000"),
        ("2026-03-14 12:00:00.9999999Z", AWARE, "2026-03-14 12:00:00.999"),
        (datetime(2026, 3, 14, 12, 0, 0, 999, tzinfo=UTC), AWARE, "2026-03-14 12:00:00.000"),
        ("1969-12-31 23:59:59.999999", LOCAL, "1969-12-31 23:59:59.999"),
        ("1969-12-31 23:59:59.9999999+00", AWARE, "1969-12-31 23:59:59.999"),
        (datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC), AWARE, "1969-12-31 23:59:59.000"),
        (pd.Timestamp("1969-12-31 23:59:59.999999999"), LOCAL, "1969-12-31 23:59:59.999"),
        (1653514258.9999998, SECONDS, "2022-05-25 21:30:58.999"),
        (math.nextafter(1653514258.136, 0), SECONDS, "2022-05-25 21:30:58.135"),
        (Decimal("1653514258.136"), SECONDS, "2022-05-25 21:30:58.136"),
        (Decimal("1653514258.135" + "9" * 99), SECONDS, "2022-05-25 21:30:58.135"),
        ("1653514258.135" + "9" * 99, SECONDS, "2022-05-25 21:30:58.135"),
        (1653514258135.9998, MILLISECONDS, "2022-05-25 21:30:58.135"),
        (Decimal("1653514258135.99999"), MILLISECONDS, "2022-05-25 21:30:58.135"),
        (-0.0001, SECONDS, "1969-12-31 23:59:59.999"),
        ("-0.0001", SECONDS, "1969-12-31 23:59:59.999"),
        (Decimal("-1E-300"), SECONDS, "1969-12-31 23:59:59.999"),
        (-1e-300, SECONDS, "1969-12-31 23:59:59.999"),
        (-1, SECONDS, "1969-12-31 23:59:59.000"),
    ],
)
def test_a_part_of_a_millisecond_is_cut_off_towards_the_past(value, kind, milliseconds):
    assert read(value, kind, "UTC") == utc(milliseconds)


def test_many_decimal_places_are_read_in_every_century():
    for wall, milliseconds in [
        ("0001-01-01 00:00:00.1239999", "0001-01-01 00:00:00.123"),
        ("1600-02-29 12:00:00.99999999999", "1600-02-29 12:00:00.999"),
        ("2500-01-01 12:00:00.0009999999", "2500-01-01 12:00:00.000"),
        ("9999-12-31 23:59:59.9999999", "9999-12-31 23:59:59.999"),
    ]:
        assert read(wall, LOCAL, "UTC") == utc(milliseconds)
        assert read(wall + "+00", AWARE) == utc(milliseconds)


def test_nanoseconds_of_a_typed_column_are_cut_off_towards_the_past():
    for text in ("2026-03-14 12:00:00.999999999", "1969-12-31 23:59:59.999999999", "1969-12-31 23:59:59.000000001"):
        typed = pd.Series(pd.to_datetime([text]).as_unit("ns"))
        expected = [utc(text[:23])]
        assert to_utc_milliseconds(typed, kind=LOCAL, zones="UTC")[0].tolist() == expected
        assert to_utc_milliseconds(typed.dt.tz_localize("UTC"), kind=AWARE)[0].tolist() == expected


PLAUSIBLE_SECONDS = 9 * 10**10


def read_both_ways(number, kind):
    """A float in a column of floats and in one of objects, which must not differ."""
    milliseconds, reasons = to_utc_milliseconds(pd.Series([number]), kind=kind)
    assert reasons[0] is None
    assert read(number, kind) == milliseconds[0]
    return int(milliseconds[0])


@settings(deadline=None, max_examples=250)
@given(
    st.floats(-PLAUSIBLE_SECONDS, PLAUSIBLE_SECONDS, allow_subnormal=False).filter(
        lambda number: number == 0 or abs(number) > 1e-290
    )
)
def test_float_seconds_are_floored_as_the_decimal_number_that_they_print_as(number):
    milliseconds = read_both_ways(number, SECONDS)

    assert milliseconds == math.floor(Fraction(Decimal(repr(number))) * 1000)
    assert milliseconds / 1000 <= number


@settings(deadline=None)
@given(
    st.lists(
        st.integers(-PLAUSIBLE_SECONDS * 1000, PLAUSIBLE_SECONDS * 1000) | st.integers(-(10**6), 10**13), min_size=50, max_size=50
    )
)
def test_float_seconds_of_whole_milliseconds_are_these_and_the_float_just_below_belongs_to_the_millisecond_before(milliseconds):
    seconds = np.array([number / 1000 for number in milliseconds])
    for as_type in (pd.Series, lambda numbers: pd.Series(numbers, dtype=object)):
        assert to_utc_milliseconds(as_type(seconds), kind=SECONDS)[0].tolist() == milliseconds
        just_below = to_utc_milliseconds(as_type(np.nextafter(seconds, -np.inf)), kind=SECONDS)[0]
        assert just_below.tolist() == [number - 1 for number in milliseconds]


@settings(deadline=None, max_examples=250)
@given(st.floats(10**11, 253_402_300_799_999.0), st.sampled_from((-1, 1)))
def test_float_milliseconds_are_floored_exactly(number, sign):
    assert read_both_ways(sign * number, MILLISECONDS) == math.floor(Fraction(sign * number))


@settings(deadline=None, max_examples=250)
@given(st.decimals(-PLAUSIBLE_SECONDS, PLAUSIBLE_SECONDS, allow_nan=False, places=None), st.sampled_from((Decimal, str)))
def test_decimal_seconds_are_floored_exactly_as_number_and_as_text(number, as_type):
    assert read(as_type(number), SECONDS) == math.floor(Fraction(number) * 1000)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2 * 10**9), st.text("0123456789", min_size=1, max_size=200))
def test_any_number_of_decimal_places_is_floored_exactly(seconds, fraction):
    text = f"{seconds}.{fraction}"

    assert read(text, SECONDS) == math.floor(Fraction(text) * 1000)
    assert read(Decimal(text), SECONDS) == math.floor(Fraction(text) * 1000)


@settings(deadline=None)
@given(st.integers(-PLAUSIBLE_SECONDS, PLAUSIBLE_SECONDS), st.integers(10**11, 253_402_300_799_999))
def test_integers_are_exact(seconds, milliseconds):
    assert read(seconds, SECONDS) == seconds * 1000
    assert read(milliseconds, MILLISECONDS) == milliseconds
    assert to_utc_milliseconds(pd.Series([milliseconds]), kind=MILLISECONDS)[0].tolist() == [milliseconds]


@settings(deadline=None, max_examples=150)
@given(
    st.datetimes(
        timezones=st.timezones()
        | st.builds(
            timezone,
            st.timedeltas(timedelta(hours=-15), timedelta(hours=15)).map(lambda d: timedelta(seconds=d // timedelta(seconds=1))),
        )
    ),
    st.sampled_from((lambda moment: moment, datetime.isoformat, str)),
)
def test_any_aware_moment_of_the_calendar_is_exact_as_datetime_and_as_text(moment, as_type):
    exact = ((moment.replace(tzinfo=None) - EPOCH) // MICROSECOND - moment.utcoffset() // MICROSECOND) // 1000

    assert read(as_type(moment), AWARE) == exact


@settings(deadline=None, max_examples=150)
@given(st.datetimes(), st.sampled_from((lambda moment: moment, datetime.isoformat, str)))
def test_any_wall_clock_time_of_the_calendar_is_exact_in_utc(wall, as_type):
    assert read(as_type(wall), LOCAL, "UTC") == (wall - EPOCH) // timedelta(milliseconds=1)


# The ends of the calendar


@pytest.mark.parametrize("zone", [KIRITIMATI, BAKER_ISLAND, "UTC", "America/New_York"])
@pytest.mark.parametrize(
    "wall",
    [datetime.min, datetime(1, 1, 1, 13), datetime(1, 12, 31), datetime(9999, 1, 1), datetime(9999, 12, 31, 11), datetime.max],
)
def test_the_first_and_the_last_day_of_the_calendar_are_moments_even_where_utc_leaves_it(zone, wall):
    expected = judged_by_zoneinfo(zone, wall)

    assert read(wall, LOCAL, zone) == expected
    assert read(wall.isoformat(), LOCAL, zone) == expected
    assert to_utc_milliseconds(pd.Series([wall], dtype="datetime64[us]"), kind=LOCAL, zones=zone)[0].tolist() == [expected]


@pytest.mark.parametrize("hours", [14, -12, 0])
@pytest.mark.parametrize("wall", [datetime.min, datetime.max])
def test_the_ends_of_the_calendar_with_an_offset_are_moments(wall, hours):
    aware = wall.replace(tzinfo=timezone(timedelta(hours=hours)))
    expected = ((wall - EPOCH) // MICROSECOND - hours * 3_600_000_000) // 1000
    if pd.__version__ < "3" and (wall == datetime.min) == (hours > 0) and hours:
        expected = Reason.INVALID_TIMESTAMP  # pandas 2 has no moment that lies in year 0 or 10,000 of UTC

    assert read(aware, AWARE) == expected
    assert read(str(aware), AWARE) == expected


def test_the_last_millisecond_of_the_calendar_is_a_moment_and_the_next_is_not():
    assert read(253_402_300_799_999, MILLISECONDS) == 253_402_300_799_999
    assert read(253_402_300_800_000, MILLISECONDS) is Reason.INVALID_TIMESTAMP


def test_moments_before_1970_are_moments():
    assert read("1969-07-20 20:17:40", LOCAL, "UTC") == -14_182_940_000
    assert read("1969-07-20 20:17:40+00", AWARE) == -14_182_940_000
    assert read(-14_182_940, SECONDS) == -14_182_940_000


def test_an_offset_with_seconds_as_postgresql_writes_it_for_old_moments_is_read():
    assert read("1890-01-01 00:53:28+00:53:28", AWARE) == utc("1890-01-01 00:00:00")
    assert read("1883-11-18 12:03:57-04:56:03", AWARE) == utc("1883-11-18 17:00:00")


# Other writings


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-28 01:13:17 UTC", "2026-01-28 01:13:17.000 UTC", "2026-01-28T01:13:17GMT", "20260128T011317Z", "20260128T011317+0000",
        "20260128T021317+01", "2026-01-28T01:13:17,000Z", "2026-01-28t01:13:17z", "20260128T011317,0Z",
    ],
)  # fmt: skip
def test_what_iso_8601_rfc_3339_and_bigquery_write_is_read(text):
    expected = 1_769_562_797_000
    assert read(text, AWARE) == expected
    assert read(text, LOCAL, "UTC") is Reason.INVALID_TIMESTAMP


@pytest.mark.parametrize("text", ["20260128T011317", "2026-01-28t01:13:17", "2026-01-28T01:13:17,000"])
def test_other_writings_without_an_offset_are_local(text):
    assert read(text, LOCAL, "UTC") == 1_769_562_797_000
    assert read(text, AWARE) is Reason.INVALID_TIMESTAMP


@pytest.mark.parametrize(
    "text",
    [
        "20260128 011317Z",
        "20260128T0113:17Z",
        "2026-01-28T011317Z",
        "20261328T011317Z",
        "00000128T011317Z",
        "2026-01-28 01:13:17 CET",
    ],
)
def test_a_mixture_of_writings_is_no_moment(text):
    assert read(text, AWARE) is Reason.INVALID_TIMESTAMP


def test_a_comma_is_floored_like_a_point():
    assert read("2026-01-28T01:13:17,9999Z", AWARE) == 1_769_562_797_999


WALLS = st.from_regex(r"20[0-9]{2}-[01][1-9]-[0-2][1-9][T ][01][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?", fullmatch=True)
OFFSETS = st.sampled_from(["", "Z", "+00", "-05", "+0530", "+05:30"])


@given(st.lists(st.builds(str.__add__, WALLS, OFFSETS), min_size=1), st.sampled_from([AWARE, LOCAL]))
def test_a_column_in_one_form_is_read_as_each_of_its_values_beside_another_form(texts, kind):
    together = to_utc_milliseconds(pd.Series(texts, dtype=object), kind=kind, zones="UTC")
    beside = to_utc_milliseconds(pd.Series([*texts, "20260314T120000"], dtype=object), kind=kind, zones="UTC")
    assert [each.tolist() for each in together] == [each.tolist()[:-1] for each in beside]
