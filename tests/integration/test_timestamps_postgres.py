"""PostgreSQL as the judge of time: the project and ``AT TIME ZONE`` never disagree about a moment."""

import csv
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache
from io import StringIO
from itertools import groupby
from operator import itemgetter
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from webflow_conversions.rules.source import TimestampKind
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.timestamps import to_utc_milliseconds

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)

AROUND_A_CHANGE = [
    timedelta(minutes=sign * minutes, microseconds=microseconds)
    for sign in (-1, 1)
    for minutes in (0, 1, 29, 30, 31, 59, 60, 61, 90)
    for microseconds in (-1, 0, 999)
]
FAR_FROM_CHANGES = [datetime(year, month, 11, 12, 30, 15, 999_999) for year in range(2020, 2036) for month in (1, 4, 7, 10)]


@cache
def clock_changes(zone):
    """The moments from 2020 to 2035 at which the zone's offset changes, found by looking, with the offsets before and after."""
    day, end, step = datetime(2020, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC), timedelta(days=1)
    before, changes = zone.utcoffset(day.astimezone(zone)), []
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


def probes(zone):
    walls = {
        (moment + offset).replace(tzinfo=None) + distance
        for moment, before, after in clock_changes(zone)
        for offset in (before, after)
        for distance in AROUND_A_CHANGE
    }
    return sorted(walls.union(FAR_FROM_CHANGES))


def judged_by_zoneinfo(zone, wall):
    """Of the two offsets of a repeated or a skipped time the smaller: it makes the later moment, and it is that before a gap."""
    offset = min(zone.utcoffset(wall.replace(fold=0)), zone.utcoffset(wall.replace(fold=1)))
    return ((wall - EPOCH) // MICROSECOND - offset // MICROSECOND) // 1000


@pytest.fixture
def cursor(night_database):
    connection = night_database()
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


def test_local_times_of_every_zone_agree_with_postgresql_around_every_clock_change_from_2020_to_2035(cursor):
    cursor.execute("SELECT name FROM pg_timezone_names")
    known_to_both = sorted({name for (name,) in cursor} & zoneinfo.available_timezones() - {"localtime", "Factory"})
    walls = {name: probes(ZoneInfo(name)) for name in known_to_both}
    table = StringIO()
    csv.writer(table).writerows((name, wall) for name in known_to_both for wall in walls[name])
    table.seek(0)
    cursor.execute("CREATE TEMPORARY TABLE probe (row int GENERATED ALWAYS AS IDENTITY, zone text, wall timestamp)")
    cursor.copy_expert("COPY probe (zone, wall) FROM STDIN WITH (FORMAT csv)", table)
    cursor.execute("SELECT zone, floor(extract(epoch FROM wall AT TIME ZONE zone) * 1000)::bigint FROM probe ORDER BY row")
    judged_by_postgresql = {zone: [moment for _, moment in rows] for zone, rows in groupby(cursor.fetchall(), itemgetter(0))}

    agreed = [
        name
        for name in known_to_both
        if judged_by_postgresql[name] == [judged_by_zoneinfo(ZoneInfo(name), wall) for wall in walls[name]]
    ]
    wrong = []
    for name in agreed:
        milliseconds, reasons = to_utc_milliseconds(pd.Series(walls[name], dtype=object), kind=TimestampKind.LOCAL, zones=name)
        assert not reasons.any(), name
        wrong += [
            (name, wall, ours, theirs)
            for wall, ours, theirs in zip(walls[name], milliseconds.tolist(), judged_by_postgresql[name], strict=True)
            if ours != theirs
        ]

    assert wrong == []
    # The two judges may carry different releases of the tz database; then they differ in a zone or two, no more.
    assert len(known_to_both) > 550
    assert len(agreed) > 0.97 * len(known_to_both), sorted(set(known_to_both) - set(agreed))
    assert sum(map(len, walls.values())) > 400_000


def test_what_postgresql_writes_of_every_clock_change_of_every_zone_is_read_as_that_moment_in_every_kind(cursor):
    """Its own text with the offset before and after each change, and epochs as numeric, as double precision and as integers."""
    cursor.execute("SELECT name FROM pg_timezone_names")
    zones = sorted({name for (name,) in cursor} & zoneinfo.available_timezones() - {"localtime", "Factory"})
    nudges = [timedelta(microseconds=nudge) for nudge in (-1_000_001, -1, 0, 999, 1_001)]
    read = []
    for zone in zones:
        moments = [moment + nudge for moment, _, _ in clock_changes(ZoneInfo(zone)) for nudge in nudges] or [
            datetime(2026, 3, 1, tzinfo=UTC)
        ]
        cursor.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
        cursor.execute(
            "SELECT m::text, extract(epoch FROM m), extract(epoch FROM m)::text, extract(epoch FROM m)::double precision,"
            " floor(extract(epoch FROM m) * 1000)::bigint FROM unnest(%s::timestamptz[]) m",
            (moments,),
        )
        read += [(zone, moment, *row) for moment, row in zip(moments, cursor.fetchall(), strict=True)]
    _, moments, texts, numerics, numeric_texts, floats, judged_by_postgresql = zip(*read, strict=True)

    judged_by_python = [(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) for moment in moments]
    assert judged_by_python == list(judged_by_postgresql)
    for kind, given in [
        (TimestampKind.AWARE, texts),
        (TimestampKind.AWARE, moments),
        (TimestampKind.EPOCH_SECONDS, numerics),
        (TimestampKind.EPOCH_SECONDS, numeric_texts),
        (TimestampKind.EPOCH_SECONDS, floats),
        (TimestampKind.EPOCH_MILLISECONDS, judged_by_postgresql),
        (TimestampKind.EPOCH_MILLISECONDS, [number * 1000 for number in numerics]),
    ]:
        milliseconds, reasons = to_utc_milliseconds(pd.Series(given, dtype=object), kind=kind)
        assert not reasons.any()
        wrong = np.flatnonzero(milliseconds != np.array(judged_by_python))
        assert [(*read[row], milliseconds[row]) for row in wrong] == []
    assert len(zones) > 550
    assert len(read) > 20_000


@pytest.mark.parametrize(
    "session_zone", ["UTC", "America/St_Johns", "Asia/Kathmandu", "Europe/Amsterdam", "Africa/Monrovia", "Pacific/Apia"]
)
def test_every_timestamptz_that_postgresql_writes_is_read_as_the_moment_that_it_means(cursor, session_zone):
    cursor.execute("SELECT set_config('TimeZone', %s, false), setseed(0.5)", (session_zone,))
    cursor.execute(
        "SELECT moment::text, floor(extract(epoch FROM moment) * 1000)::bigint FROM ("
        " SELECT '0002-01-01 00:00+00'::timestamptz + random() * ('9998-12-31 00:00+00'::timestamptz - '0002-01-01 00:00+00') AS moment"
        " FROM generate_series(1, 5000)"
        " UNION ALL SELECT '1850-01-01 00:00+00'::timestamptz + random() * INTERVAL '200 years' FROM generate_series(1, 5000)"
        " UNION ALL VALUES ('1969-12-31 23:59:59.999999+00'::timestamptz), ('1970-01-01 00:00+00'), ('2022-05-25 21:30:58.136+00')"
        ") moments"
    )
    texts, moments = zip(*cursor.fetchall(), strict=True)

    milliseconds, reasons = to_utc_milliseconds(pd.Series(texts, dtype=object), kind=TimestampKind.AWARE)

    assert [text for text, reason in zip(texts, reasons, strict=True) if reason is not None] == []
    assert milliseconds.tolist() == list(moments)


def test_every_timestamp_without_a_zone_that_postgresql_writes_is_read_to_the_letter(cursor):
    cursor.execute(
        "SELECT setseed(0.5);"
        "SELECT wall::text, floor(extract(epoch FROM wall) * 1000)::bigint FROM ("
        " SELECT '0001-01-01'::timestamp + random() * ('9999-12-31'::timestamp - '0001-01-01') AS wall FROM generate_series(1, 10000)"
        " UNION ALL VALUES ('0001-01-01'::timestamp), ('9999-12-31 23:59:59.999999')"
        ") walls"
    )
    texts, moments = zip(*cursor.fetchall(), strict=True)

    milliseconds, reasons = to_utc_milliseconds(pd.Series(texts, dtype=object), kind=TimestampKind.LOCAL, zones="UTC")

    assert not reasons.any()
    assert milliseconds.tolist() == list(moments)


def test_every_epoch_that_postgresql_writes_as_numeric_or_as_double_is_floored_to_the_same_millisecond(cursor):
    cursor.execute(
        "SELECT setseed(0.5);"
        "SELECT seconds::text, floor(seconds * 1000)::bigint, seconds::double precision::text, seconds::double precision FROM ("
        " SELECT extract(epoch FROM '1960-01-01'::timestamptz + random() * INTERVAL '100 years') AS seconds FROM generate_series(1, 10000)"
        ") epochs"
    )
    numerics, moments, texts, floats = zip(*cursor.fetchall(), strict=True)

    for column in (
        pd.Series(numerics, dtype=object),
        pd.Series(texts, dtype=object),
        pd.Series(floats, dtype=object),
        pd.Series(floats),
    ):
        milliseconds, reasons = to_utc_milliseconds(column, kind=TimestampKind.EPOCH_SECONDS)
        assert not reasons.any()
        assert np.array_equal(milliseconds, moments)


@pytest.mark.parametrize("type_", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("literal", ["infinity", "-infinity", "0044-03-15 12:00 BC", "10000-01-01", "294276-12-31"])
def test_what_only_postgresql_takes_for_a_moment_is_a_reason(cursor, literal, type_):
    cursor.execute(f"SELECT %s::{type_}::text", (literal,))
    kind = TimestampKind.LOCAL if type_ == "timestamp" else TimestampKind.AWARE

    _, reasons = to_utc_milliseconds(pd.Series([cursor.fetchone()[0]], dtype=object), kind=kind, zones="UTC")

    assert reasons.tolist() == [Reason.INVALID_TIMESTAMP]
