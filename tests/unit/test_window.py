"""The 2 days are exactly 48 hours, windows are half open, and a run that cannot succeed is refused in a sentence."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webflow_conversions.rules.window import (
    Window,
    WindowError,
    from_milliseconds,
    latest_sendable_ms,
    next_import,
    oldest_recorded_ms,
    oldest_sendable_ms,
    parse_date,
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


# The 2 days


def test_exactly_48_hours_still_count_and_one_millisecond_more_does_not():
    assert oldest_sendable_ms(NOW) == NOW_MS - 48 * HOUR_MS


@given(moments_of_any_zone)
def test_the_oldest_that_counts_is_at_most_48_hours_old_to_the_microsecond_and_the_one_before_it_is_older(now):
    oldest = oldest_sendable_ms(now)

    assert now - from_milliseconds(oldest) <= timedelta(hours=48)
    assert now - from_milliseconds(oldest - 1) > timedelta(hours=48)


@given(moments_of_any_zone)
def test_the_latest_that_counts_is_not_after_now_to_the_microsecond_and_the_one_after_it_is(now):
    latest = latest_sendable_ms(now)

    assert from_milliseconds(latest) <= now
    assert from_milliseconds(latest + 1) > now


@given(moments_of_any_zone)
def test_rows_of_exactly_30_days_are_recorded_and_older_ones_are_not(now):
    oldest = oldest_recorded_ms(now)

    assert now - from_milliseconds(oldest) <= timedelta(days=30)
    assert now - from_milliseconds(oldest - 1) > timedelta(days=30)


def test_a_clock_change_does_not_make_the_2_days_longer_or_shorter():
    monday = datetime(2026, 3, 30, 12, tzinfo=ZoneInfo("Europe/Berlin"))  # the clocks went forward on Sunday

    assert oldest_sendable_ms(monday) == to_milliseconds(monday) - 48 * HOUR_MS
    assert oldest_recorded_ms(monday) == to_milliseconds(monday) - 30 * 24 * HOUR_MS
    assert Window.up_to(monday).start_ms == to_milliseconds(monday) - 48 * HOUR_MS


# Windows


def test_a_window_has_its_start_and_lacks_its_end():
    window = Window(start=NOW, end=NOW + timedelta(hours=1))

    assert (window.start_ms, window.end_ms) == (NOW_MS, NOW_MS + HOUR_MS)


@given(moments, st.timedeltas(timedelta(milliseconds=1), timedelta(days=3)), st.integers(-3, 3))
def test_a_window_has_just_the_milliseconds_that_lie_in_it_to_the_microsecond(start, length, step):
    window = Window(start=start, end=start + length)
    for edge in (window.start_ms, window.end_ms):
        milliseconds = edge + step
        inside = window.start <= from_milliseconds(milliseconds) < window.end

        assert (window.start_ms <= milliseconds < window.end_ms) == inside


@given(
    moments,
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)),
)
def test_windows_one_after_the_other_share_no_millisecond_and_miss_none(start, first, second):
    middle = start + first

    assert Window(start=start, end=middle).end_ms == Window(start=middle, end=middle + second).start_ms


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
    sendable = max(window.start_ms, oldest_sendable_ms(now)) <= min(window.end_ms - 1, latest_sendable_ms(now))

    try:
        window.refuse_if_hopeless(now)
    except WindowError:
        assert not sendable
    else:
        assert sendable


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
