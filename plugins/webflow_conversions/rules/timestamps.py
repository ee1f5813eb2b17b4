"""A source's timestamps as UTC milliseconds: vectorised, floored, and a reason for each value that is no valid timestamp.

Four kinds (``timestamps.kind`` of a source): ``local`` wall-clock times in a zone of the source or
of the row, ``aware`` times with an offset, ``epoch_seconds`` and ``epoch_milliseconds``. A driver
may return each kind as a type of its own, as text, as Decimal or as float.

Local times follow PostgreSQL's ``AT TIME ZONE``: of a local time that a clock change repeats,
the later moment is taken; a local time that a clock change skips has the offset in force before the gap.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from webflow_conversions.rules.source import Ambiguous, Nonexistent, TimestampKind, is_zone
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.text import has_lost_digits

EPOCH_UNIT_SPLIT = 10**11
"""Limit between the units of an epoch: a smaller magnitude is seconds (to the year 5138), others milliseconds (from 1973)."""

_YEAR_10000_MS = 253_402_300_800_000
_CALENDAR = (np.datetime64("0001-01-01T00:00:00", "us"), np.datetime64("9999-12-31T23:59:59", "us"))
"""First and last second of the calendar; a time beyond uses the zone's offset at this limit."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall-clock time
_SECOND = timedelta(seconds=1)
_STRETCH = 2**40
"""More seconds than the calendar has."""

_TEXT = re.compile(
    r"(?P<wall>(?!0000)\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(?P<beyond_microseconds>(?<=\.\d{6})\d+)?"
    r" ?(?P<offset>Z|[+-]\d\d(?::?[0-5]\d(?::[0-5]\d)?)?)?",
    re.ASCII,
)
_WALL = r"(?!0000)\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?"
_WALLS = re.compile(rf"(?:{_WALL}\n)*+", re.ASCII)
_MOMENTS = re.compile(rf"(?:{_WALL}(?:Z|[+-]\d\d(?::?[0-5]\d)?)\n)*+", re.ASCII)
_OTHER_TEXT = re.compile(
    r"(?=\d{8}[Tt]\d{4}|\d{4}-\d\d-\d\d[Tt ]\d\d:)(?!0000)"
    r"(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)[Tt ]"
    r"(?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r" ?(?P<offset>[Zz]|UTC|GMT|[+-]\d\d(?::?[0-5]\d(?::[0-5]\d)?)?)?",
    re.ASCII,
)
"""Other writings of ISO 8601, RFC 3339 and BigQuery: the basic form without separators, a comma before the fraction, small
letters, the name UTC."""
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{0,400})?(?:[eE][+-]?\d{1,3})?", re.ASCII)

Milliseconds = NDArray[np.int64]
Seconds = NDArray[np.int64]
Reasons = NDArray[np.object_]


def to_utc_milliseconds(
    values: pd.Series,
    *,
    kind: TimestampKind,
    zones: pd.Series | str | None = None,
    ambiguous: Ambiguous = Ambiguous.LATER,
    nonexistent: Nonexistent = Nonexistent.OFFSET_BEFORE,
) -> tuple[Milliseconds, Reasons]:
    """Convert ``values`` to UTC milliseconds, with a reason for each value that cannot be converted.

    :param values: the column ``occurred_at``; null is a missing timestamp, NaN in a column of objects an invalid one.
    :param zones: for local times, the IANA zone of the source, or of each row.
    :return: floored milliseconds (meaningless if there is a reason), and a :class:`Reason` or None for each.
    """
    present = values.notna().to_numpy(copy=True)
    if values.dtype == object:
        absent = np.flatnonzero(~present)
        present[absent] = [isinstance(value, float | np.floating | Decimal) for value in values.iloc[absent]]
    milliseconds = np.zeros(len(values), dtype=np.int64)
    reasons: Reasons = np.full(len(values), None, dtype=object)
    reasons[~present] = Reason.MISSING_TIMESTAMP
    if not present.any():
        return milliseconds, reasons
    given = values[present].reset_index(drop=True)
    match kind:
        case TimestampKind.EPOCH_SECONDS:
            found = _epoch(given, per_unit=1000)
        case TimestampKind.EPOCH_MILLISECONDS:
            found = _epoch(given, per_unit=1)
        case TimestampKind.AWARE:
            found = _aware(given)
        case TimestampKind.LOCAL:
            named = (
                zones[present].reset_index(drop=True)
                if isinstance(zones, pd.Series)
                else pd.Series([zones] * len(given), dtype=object)
            )
            found = _local(given, named, ambiguous, nonexistent)
    milliseconds[present], reasons[present] = found
    return milliseconds, reasons


def _epoch(values: pd.Series, *, per_unit: int) -> tuple[Milliseconds, Reasons]:
    if pd.api.types.is_float_dtype(values.dtype):
        milliseconds = _floor_floats(values.to_numpy(dtype=np.float64), per_unit)
    else:
        milliseconds = np.fromiter((_floor(value, per_unit) for value in values.tolist()), dtype=np.int64, count=len(values))
    smallest, largest = (0, EPOCH_UNIT_SPLIT * 1000 - 1) if per_unit == 1000 else (EPOCH_UNIT_SPLIT, _YEAR_10000_MS - 1)
    size = np.abs(milliseconds)
    usable = (size >= smallest) & (size <= largest)
    reasons: Reasons = np.full(len(values), None, dtype=object)
    for row in np.flatnonzero(~usable):
        given = values.iloc[row]
        is_blank = isinstance(given, str) and not given.strip()
        reasons[row] = Reason.MISSING_TIMESTAMP if is_blank else Reason.INVALID_TIMESTAMP
    return np.where(usable, milliseconds, 0), reasons


_NOTHING = np.array(None, dtype=object)
_NO_MOMENT = np.iinfo(np.int64).max
_EXACT = Context(prec=500)


def _floor_floats(numbers: NDArray[np.float64], per_unit: int) -> Milliseconds:
    """The largest millisecond whose own float is not above the number.

    For example 1653514258.136 s is millisecond 136, although its binary fraction is slightly smaller. No number is rounded up.
    """
    usable = np.abs(numbers) < _YEAR_10000_MS
    numbers = np.where(usable, numbers, 0.0)
    candidate = np.floor(numbers * per_unit).astype(np.int64) + 1
    while (above := candidate / per_unit > numbers).any():
        candidate = np.where(above, candidate - 1, candidate)
    return np.where(usable, candidate, _NO_MOMENT)


def _floor(value: Any, per_unit: int) -> int:
    """Floored milliseconds of one number of any type; a value out of every range if it is no number."""
    if isinstance(value, bool):
        return _NO_MOMENT
    if isinstance(value, np.integer):
        value = int(value)
    if not isinstance(value, int):
        is_number = isinstance(value, float | np.floating | Decimal)
        text = value.strip() if isinstance(value, str) else str(value) if is_number else ""
        if not _NUMBER.fullmatch(text) or has_lost_digits(text):
            return _NO_MOMENT
        value = Decimal(text)
    exact = value * per_unit if isinstance(value, int) else math.floor(_EXACT.multiply(value, Decimal(per_unit)))
    return min(max(exact, -_NO_MOMENT), _NO_MOMENT)


def _aware(values: pd.Series) -> tuple[Milliseconds, Reasons]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return _milliseconds_of(values), np.full(len(values), None, dtype=object)
    texts, has_offset, reasons = _texts_of(values)
    moments = _parse(np.where(has_offset, texts, _NOTHING), utc=True)
    reasons[pd.isna(reasons) & moments.isna().to_numpy()] = Reason.INVALID_TIMESTAMP
    return _milliseconds_of(moments), reasons


def _local(values: pd.Series, zones: pd.Series, ambiguous: Ambiguous, nonexistent: Nonexistent) -> tuple[Milliseconds, Reasons]:
    if pd.api.types.is_datetime64_dtype(values.dtype):
        parsed, reasons = values, np.full(len(values), None, dtype=object)
    else:
        texts, has_offset, reasons = _texts_of(values)
        parsed = _parse(np.where(has_offset, _NOTHING, texts), utc=False)
        reasons[pd.isna(reasons) & parsed.isna().to_numpy()] = Reason.INVALID_TIMESTAMP
    try:
        codes, names = pd.factorize(zones)
    except TypeError:  # values that cannot be compared, such as lists
        codes, names = pd.factorize(zones.map(lambda name: name if isinstance(name, str) else None))
    is_wall, has_zone = parsed.notna().to_numpy(), np.array([*map(is_zone, names), False])[codes]  # null has the code -1
    reasons[is_wall & ~has_zone] = Reason.UNKNOWN_TIMEZONE
    milliseconds = np.zeros(len(values), dtype=np.int64)
    rows = np.flatnonzero(is_wall & has_zone)
    if len(rows):
        walls = parsed.to_numpy(dtype="datetime64[us]")[rows]
        first, second = _offsets(walls, codes[rows], names.tolist())
        # The smaller offset makes the later moment of a repeated time, and is the offset before a skipped one.
        milliseconds[rows] = walls.astype(np.int64) // 1000 - np.minimum(first, second) * 1000
        if ambiguous is Ambiguous.REJECT:
            reasons[rows[first > second]] = Reason.AMBIGUOUS_LOCAL_TIME
        if nonexistent is Nonexistent.REJECT:
            reasons[rows[first < second]] = Reason.NONEXISTENT_LOCAL_TIME
    return milliseconds, reasons


def _offsets(walls: NDArray[np.datetime64], codes: NDArray[np.intp], names: Sequence[str]) -> tuple[Seconds, Seconds]:
    """The offset of each wall-clock time in its zone ``names[code]``, in seconds, with fold 0 and with fold 1 (PEP 495)."""
    inside = walls.clip(*_CALENDAR)
    years = inside.astype("datetime64[Y]").astype(np.int64)
    numbers, found = pd.factorize(years * len(names) + codes)
    tables = [_periods(names[code], year) for year, code in (divmod(each, len(names)) for each in found.tolist())]
    starts, first, second = np.concatenate(tables, axis=1)
    # One search finds the periods of all rows: each table has a stretch of its own on one line of seconds.
    line = starts + np.repeat(np.arange(len(tables)), [table.shape[1] for table in tables]) * _STRETCH
    seconds = inside.astype("datetime64[s]").astype(np.int64)
    places = np.searchsorted(line, seconds + numbers * _STRETCH, side="right") - 1
    return first[places], second[places]


@lru_cache(maxsize=2**14)
def _periods(name: str, year: int) -> Seconds:
    """The periods of a wall-clock year (0 is 1970) in which a zone's offsets stay the same.

    Each column is a period: its first wall-clock second since 1970, then the offsets in seconds with fold 0 and with fold 1.
    Repeated times are a period of two different offsets, and so are skipped times. The zone is read at the start of each day:
    no clock changes and changes back within a day (the shortest such time is four days, Africa/Freetown in 1939).
    """
    zone = ZoneInfo(name)
    days = np.arange(np.datetime64(year, "Y"), np.datetime64(year + 1, "Y"), dtype="datetime64[D]").astype("datetime64[s]")
    of_days = [zone.utcoffset(day) for day in days.tolist()]
    seconds = days.astype(np.int64).tolist()
    changed = [second for second, before, after in zip(seconds[1:], of_days, of_days[1:], strict=False) if before != after]

    def offsets(second: int) -> tuple[timedelta | None, timedelta | None]:
        wall = _EPOCH + second * _SECOND
        return zone.utcoffset(wall), zone.utcoffset(wall.replace(fold=1))

    starts, found = [seconds[0]], [offsets(seconds[0])]
    for second in (*changed, seconds[-1] + 86_399):
        while offsets(second) != (known := found[-1]):
            since = range(starts[-1], second + 1)
            starts.append(since[bisect_left(since, True, key=lambda each: offsets(each) != known)])
            found.append(offsets(starts[-1]))
    return np.array([starts, *np.array(found, dtype="timedelta64[s]").astype(np.int64).T])


def _texts_of(values: pd.Series) -> tuple[Reasons, NDArray[np.bool_], Reasons]:
    """The values as ISO text of at most microseconds, which of them carry an offset, and why a value is no such text."""
    given = values.tolist()
    texts, reasons = np.full(len(values), None, dtype=object), np.full(len(values), None, dtype=object)
    has_offset = np.zeros(len(values), dtype=bool)
    if set(map(type, given)) == {str} and (is_moment := _of_one_form(given)) is not None:
        texts[:], has_offset[:] = given, is_moment
        return texts, has_offset, reasons
    match_text = _TEXT.fullmatch
    for row, value in enumerate(given):
        text = value.isoformat() if isinstance(value, datetime) else value.strip() if isinstance(value, str) else "?"
        found = match_text(text) or match_text(text := _plain(text))
        if found is None:
            reasons[row] = Reason.INVALID_TIMESTAMP if text else Reason.MISSING_TIMESTAMP
            continue
        wall, beyond_microseconds, offset = found.groups()
        texts[row] = f"{wall}{offset or ''}" if beyond_microseconds else text
        has_offset[row] = offset is not None
    return texts, has_offset, reasons


def _of_one_form(texts: Sequence[str]) -> bool | None:
    """Whether all texts carry an offset (True) or none does (False), if all have the form in which databases write; else None.

    A column has as a rule one form, and is read in a fifth of the time.
    """
    lines = "\n".join([*texts, ""])
    for form, has_offset in ((_MOMENTS, True), (_WALLS, False)):
        if form.fullmatch(lines) and lines.count("\n") == len(texts):
            return has_offset
    return None


def _plain(text: str) -> str:
    """Another writing of a moment in the plain one; a text that is no moment as it is."""
    found = _OTHER_TEXT.fullmatch(text)
    if found is None:
        return text
    parts = found.groupdict(default="")
    time = ":".join(filter(None, (parts["hour"], parts["minute"], parts["second"])))
    fraction = f".{parts['fraction']}" if parts["fraction"] else ""
    offset = "Z" if parts["offset"] in ("z", "UTC", "GMT") else parts["offset"]
    return f"{parts['year']}-{parts['month']}-{parts['day']}T{time}{fraction}{offset}"


def _parse(texts: Reasons, *, utc: bool) -> pd.Series:
    """ISO texts as datetimes of microseconds; NaT for null and for a date that the calendar does not have."""
    unit = "datetime64[us, UTC]" if utc else "datetime64[us]"
    parsed: pd.Series = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", errors="coerce", utc=utc).astype(unit)  # type: ignore[call-overload]
    unread = np.flatnonzero(parsed.isna().to_numpy())
    for row in unread[pd.notna(texts[unread])].tolist():
        # pandas takes no seconds in an offset, as PostgreSQL writes it for moments before standard time.
        try:
            parsed.iloc[row] = pd.Timestamp(datetime.fromisoformat(texts[row]).astimezone(UTC) if utc else texts[row])
        except (ValueError, OverflowError):
            continue
    return parsed


def _milliseconds_of(moments: pd.Series) -> Milliseconds:
    """Floored milliseconds of datetimes; 0 for NaT."""
    milliseconds: Milliseconds = moments.dt.as_unit("us").astype("int64").to_numpy() // 1000
    return np.where(moments.isna().to_numpy(), 0, milliseconds)


def moments_of(values: pd.Series) -> pd.Series:
    """Moments of any kind as ``Int64`` milliseconds; null where there is none. A date is its first moment."""
    given = values.to_numpy(dtype=object)
    found = pd.Series(pd.NA, index=values.index, dtype="Int64")
    # Text in the usual form, which is what most databases send, is read at once; the rest one by one.
    is_usual = np.fromiter((isinstance(value, str) and value[4:5] == "-" for value in given), dtype=bool, count=len(given))
    usual = pd.to_datetime(pd.Series(given[is_usual], dtype=object), format="ISO8601", utc=True, errors="coerce")
    microseconds = usual.dt.as_unit("us").to_numpy(dtype="datetime64[us]").astype(np.int64)
    found[is_usual] = pd.arrays.IntegerArray(microseconds // 1000, usual.isna().to_numpy(dtype=bool))
    is_number = np.fromiter((isinstance(value, int | float | Decimal) for value in given), dtype=bool, count=len(given))
    for kinds, among in ((_WRITTEN, ~is_number), (_EPOCHS, np.ones(len(given), dtype=bool))):
        for kind in kinds:
            left = found.isna().to_numpy(dtype=bool) & among & values.notna().to_numpy(dtype=bool)
            if not left.any():
                break
            moments = values[left].map(lambda value: value.isoformat() + "T00:00:00" if type(value) is date else value)
            milliseconds, reasons = to_utc_milliseconds(moments, kind=kind, zones="UTC")
            is_moment = np.array([reason is None for reason in reasons], dtype=bool)
            found[left] = pd.arrays.IntegerArray(milliseconds, ~is_moment)
    return found


_WRITTEN = (TimestampKind.AWARE, TimestampKind.LOCAL)
_EPOCHS = (TimestampKind.EPOCH_SECONDS, TimestampKind.EPOCH_MILLISECONDS)
