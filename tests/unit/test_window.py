"""The 2 days are exactly 48 hours, windows are half open, and a run that cannot succeed is refused in a sentence."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import webflow_conversions
from webflow_conversions.rules.window import (
    Interval,
    Window,
    WindowError,
    from_milliseconds,
    next_import,
    oldest_recorded_ms,
    parse_date,
    sendable,
    to_milliseconds,
)

NOW = datetime(2026, 3, 14, 22, 0, tzinfo=UTC)
NOW_MS = 1_773_525_600_000
HOUR_MS = 3_600_000

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
moments_of_any_zone = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.timezones())


def test_milliseconds_are_floored_before_and_after_1970():
    assert to_milliseconds(NOW) == NOW_MS
    assert to_milliseconds(NOW + timedelta(microseconds=999)) == NOW_MS
    assert to_milliseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_a_naive_datetime_has_no_milliseconds():
    with pytest.raises(TypeError):
        to_milliseconds(datetime(2026, 3, 14))


def test_the_zone_in_which_a_moment_is_told_does_not_matter():
    assert to_milliseconds(NOW.astimezone(ZoneInfo("Pacific/Kiritimati"))) == NOW_MS


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_whole_milliseconds_survive_the_way_to_a_datetime_and_back(milliseconds):
    assert to_milliseconds(from_milliseconds(milliseconds)) == milliseconds
    assert from_milliseconds(milliseconds).utcoffset() == timedelta()


# Intervals

milliseconds = st.integers(-5, 5)
intervals = st.builds(Interval, start_ms=milliseconds, end_ms=milliseconds)


@given(intervals, intervals, milliseconds)
def test_a_millisecond_is_in_the_intersection_just_if_it_is_in_both(one, other, timestamp_ms):
    assert (timestamp_ms in one & other) == (timestamp_ms in one and timestamp_ms in other)


@given(intervals)
def test_an_interval_is_empty_just_if_no_millisecond_is_in_it(interval):
    assert interval.is_empty == (not any(timestamp_ms in interval for timestamp_ms in range(-6, 7)))


def test_an_interval_has_its_start_and_not_its_end():
    interval = Interval(start_ms=1, end_ms=3)

    assert [timestamp_ms in interval for timestamp_ms in (0, 1, 2, 3)] == [False, True, True, False]


# The 2 days


def test_what_may_be_sent_begins_48_hours_ago_and_ends_with_the_millisecond_of_now():
    at_once = sendable(NOW + timedelta(microseconds=999))

    assert sendable(NOW) == Interval(start_ms=NOW_MS - 48 * HOUR_MS, end_ms=NOW_MS + 1)
    assert at_once == Interval(start_ms=NOW_MS - 48 * HOUR_MS + 1, end_ms=NOW_MS + 1)


@given(moments_of_any_zone, st.timedeltas(timedelta(days=-1), timedelta(days=1)))
def test_the_future_begins_by_the_earlier_clock_and_the_age_is_counted_by_ours(now, offset):
    apis = sendable(now.astimezone(UTC) + offset)

    assert sendable(now, offset) == Interval(start_ms=sendable(now).start_ms, end_ms=min(sendable(now).end_ms, apis.end_ms))


def test_exactly_48_hours_still_count_and_one_millisecond_more_does_not():
    assert sendable(NOW).start_ms == NOW_MS - 48 * HOUR_MS


@given(moments_of_any_zone)
def test_the_oldest_that_counts_is_at_most_48_hours_old_to_the_microsecond_and_the_one_before_it_is_older(now):
    oldest = sendable(now).start_ms

    assert now - from_milliseconds(oldest) <= timedelta(hours=48)
    assert now - from_milliseconds(oldest - 1) > timedelta(hours=48)


@given(moments_of_any_zone)
def test_the_latest_that_counts_is_not_after_now_to_the_microsecond_and_the_one_after_it_is(now):
    latest = sendable(now).end_ms - 1

    assert from_milliseconds(latest) <= now
    assert from_milliseconds(latest + 1) > now


@given(moments_of_any_zone)
def test_rows_of_exactly_30_days_are_recorded_and_older_ones_are_not(now):
    oldest = oldest_recorded_ms(now)

    assert now - from_milliseconds(oldest) <= timedelta(days=30)
    assert now - from_milliseconds(oldest - 1) > timedelta(days=30)


def test_a_clock_change_does_not_make_the_2_days_longer_or_shorter():
    monday = datetime(2026, 3, 30, 12, tzinfo=ZoneInfo("Europe/Berlin"))  # the clocks went forward on Sunday

    assert sendable(monday).start_ms == to_milliseconds(monday) - 48 * HOUR_MS
    assert oldest_recorded_ms(monday) == to_milliseconds(monday) - 30 * 24 * HOUR_MS
    assert Window.up_to(monday).interval.start_ms == to_milliseconds(monday) - 48 * HOUR_MS


# Windows


def test_a_window_has_its_start_and_lacks_its_end():
    window = Window(start=NOW, end=NOW + timedelta(hours=1))

    assert (window.interval.start_ms, window.interval.end_ms) == (NOW_MS, NOW_MS + HOUR_MS)


@given(moments, st.timedeltas(timedelta(milliseconds=1), timedelta(days=3)), st.integers(-3, 3))
def test_a_window_has_just_the_milliseconds_that_lie_in_it_to_the_microsecond(start, length, step):
    window = Window(start=start, end=start + length)
    for edge in (window.interval.start_ms, window.interval.end_ms):
        milliseconds = edge + step
        inside = window.start <= from_milliseconds(milliseconds) < window.end

        assert (window.interval.start_ms <= milliseconds < window.interval.end_ms) == inside


@given(
    moments,
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
)
def test_windows_one_after_the_other_share_no_millisecond_and_miss_none(start, first, second):
    middle = start + first

    assert Window(start=start, end=middle).interval.end_ms == Window(start=middle, end=middle + second).interval.start_ms


def test_a_scheduled_run_has_the_2_days_up_to_its_start():
    window = Window.up_to(NOW)

    assert (window.start, window.end) == (datetime(2026, 3, 12, 22, tzinfo=UTC), NOW)


def test_a_date_is_midnight_to_midnight_utc():
    window = Window.of_date(date(2026, 3, 14))

    assert (window.start, window.end) == (datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC))


@pytest.mark.parametrize("end", [NOW, NOW - timedelta(microseconds=1)])
def test_a_window_that_ends_no_later_than_it_starts_is_refused(end):
    with pytest.raises(ValueError, match="start before it ends"):
        Window(start=NOW, end=end)


def test_a_window_of_naive_datetimes_is_refused():
    with pytest.raises(ValueError, match="aware"):
        Window(start=datetime(2026, 3, 14), end=NOW)
    with pytest.raises(ValueError, match="aware"):
        Window(start=NOW, end=datetime(2026, 3, 15))


def test_a_window_tells_its_edges_in_utc():
    window = Window(start=datetime(2026, 3, 14, 1, tzinfo=timezone(timedelta(hours=2))), end=NOW)

    assert str(window) == "[2026-03-13 23:00:00 UTC, 2026-03-14 22:00:00 UTC)"


# What cannot succeed


@pytest.mark.parametrize("day", ["2026-03-12", "2026-03-13", "2026-03-14"])
def test_a_date_of_which_a_part_still_counts_is_not_refused(day):
    Window.of_date(date.fromisoformat(day)).refuse_if_hopeless(NOW)


@pytest.mark.parametrize(
    ("day", "why"), [("2026-03-11", "lies wholly before the last 2 days"), ("2026-03-15", "lies in the future")]
)
def test_a_date_that_cannot_be_sent_is_refused_with_the_window_and_the_time_in_one_sentence(day, why):
    with pytest.raises(WindowError) as error:
        Window.of_date(date.fromisoformat(day)).refuse_if_hopeless(NOW)

    sentence = str(error.value)
    assert why in sentence
    assert f"[{day} 00:00:00 UTC" in sentence
    assert "now is 2026-03-14 22:00:00 UTC" in sentence
    assert sentence.count(".") == 1


def test_a_window_that_ended_48_hours_ago_is_refused_and_one_that_ends_a_millisecond_later_is_not():
    end = NOW - timedelta(hours=48)

    with pytest.raises(WindowError):
        Window.up_to(end).refuse_if_hopeless(NOW)
    Window.up_to(end + timedelta(milliseconds=1)).refuse_if_hopeless(NOW)


def test_a_window_that_starts_now_is_not_refused_and_one_that_starts_a_millisecond_later_is():
    Window(start=NOW, end=NOW + timedelta(hours=1)).refuse_if_hopeless(NOW)
    with pytest.raises(WindowError):
        Window(start=NOW + timedelta(milliseconds=1), end=NOW + timedelta(hours=1)).refuse_if_hopeless(NOW)


@settings(max_examples=300)
@given(
    st.timedeltas(timedelta(days=-3), timedelta(days=1)) | st.timedeltas(timedelta(milliseconds=-2), timedelta(milliseconds=2)),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=2)),
    st.timedeltas(timedelta(0), timedelta(milliseconds=2)),
)
def test_a_window_is_refused_just_if_no_millisecond_in_it_can_be_sent(distance, length, part_of_now):
    now = NOW + part_of_now
    window = Window(start=now + distance, end=now + distance + length)
    can_be_sent = not (window.interval & sendable(now)).is_empty

    try:
        window.refuse_if_hopeless(now)
    except WindowError:
        assert not can_be_sent
    else:
        assert can_be_sent


# The import


@pytest.mark.parametrize(
    ("now", "imported"),
    [
        (datetime(2026, 3, 14, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC)),
        (datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC)),  # this midnight's has just begun
        (datetime(2026, 3, 14, 0, 0, 0, 1, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC)),
        (datetime(2026, 12, 31, 22, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2026, 3, 15, 1, tzinfo=ZoneInfo("Asia/Tokyo")), datetime(2026, 3, 15, tzinfo=UTC)),
        (datetime(2026, 3, 14, 20, tzinfo=ZoneInfo("America/New_York")), datetime(2026, 3, 16, tzinfo=UTC)),
    ],
)
def test_the_next_import_is_the_first_midnight_utc_after_now(now, imported):
    assert next_import(now) == imported


# The date that somebody types


def test_a_date_is_written_year_month_day():
    assert parse_date("2026-03-14") == date(2026, 3, 14)


@pytest.mark.parametrize(
    "text",
    ["", "today", "14.03.2026", "2026-3-14", "20260314", "2026-W11-6", "2026-073", "2026-02-30", "2026-03-14 ", " 2026-03-14", "2026-03-14T00:00", "２０２６-03-14", "0000-01-01", "12026-03-14"],
)  # fmt: skip
def test_what_is_no_such_date_is_refused_with_what_was_typed_and_an_example(text):
    with pytest.raises(WindowError) as error:
        parse_date(text)

    assert repr(text) in str(error.value)
    assert "YYYY-MM-DD" in str(error.value)


# One place

PACKAGE = Path(webflow_conversions.__file__).parent
PLACE = PACKAGE / "rules" / "window.py"
TWO_DAYS = re.compile(
    r"days=2\b|hours=48\b|\b48 ?\*|\* ?48\b|\b172_?800|minutes=2_?880\b|interval '(2 days|48 hours)|(days|hours) => (2|48)\b",
    re.IGNORECASE,
)
EARLIER_CLOCK = re.compile(r"min\([^()]*(offset|clock)[^()]*timedelta\(", re.DOTALL)


def repeats(pattern):
    dags = PACKAGE.parents[1] / "dags"
    files = [file for folder in (PACKAGE, dags) for kind in ("*.py", "*.sql") for file in sorted(folder.rglob(kind))]
    return [f"{file.name}: {found[0]}" for file in files if file != PLACE for found in pattern.finditer(file.read_text("utf-8"))]


@pytest.mark.parametrize("pattern", [TWO_DAYS, EARLIER_CLOCK], ids=["the 2 days", "the earlier clock"])
def test_no_other_file_repeats(pattern):
    assert pattern.search(PLACE.read_text("utf-8"))
    assert repeats(pattern) == []


@pytest.mark.parametrize(
    "text",
    ["timedelta(days=2, hours=12)", "48 * 3600", "interval '48 hours'", "make_interval(hours => 48)", "172800", "172_800_000"],
)
def test_the_2_days_are_found_however_they_are_written(text):
    assert TWO_DAYS.search(text)
