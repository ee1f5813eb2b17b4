"""A source's timestamps as UTC milliseconds: vectorised, floored, and a reason for each value that is no valid timestamp.

Four kinds (``timestamps.kind`` of a source): ``local`` wall-clock times in a zone of the source or
of the row, ``aware`` times with an offset, ``epoch_seconds`` and ``epoch_milliseconds``. A driver
may return each kind as a type of its own, as text, as Decimal or as float.

Local times follow PostgreSQL's ``AT TIME ZONE``: of a local time that a clock change repeats,
the later moment is taken; a local time that a clock change skips has the offset in force before the gap.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from webflow_conversions.rules.source import Ambiguous, Nonexistent, TimestampKind, zone_named
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.window import to_milliseconds

EPOCH_UNIT_SPLIT = 10**11
"""Limit between the units of an epoch: a smaller magnitude is seconds (to the year 5138), others milliseconds (from 1973)."""

_YEAR_10000_MS = 253_402_300_800_000
_CALENDAR = (np.datetime64("0001-01-03", "us"), np.datetime64("9999-12-29", "us"))
"""First and last moment that has a year from 1 to 9999 in every zone; a moment beyond uses the zone's offset at this limit."""

_TEXT = re.compile(
    r"(?P<wall>(?!0000)\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(?P<beyond_microseconds>(?<=\.\d{6})\d+)?"
    r" ?(?P<offset>Z|[+-]\d\d(?::?[0-5]\d(?::[0-5]\d)?)?)?",
    re.ASCII,
)
_WALL = re.compile(r"(?!0000)\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?", re.ASCII)
_MOMENT = re.compile(rf"{_WALL.pattern}(?:Z|[+-]\d\d(?::?[0-5]\d)?)", re.ASCII)
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
        if not _NUMBER.fullmatch(text):
            return _NO_MOMENT
        value = Decimal(text)
    exact = value * per_unit if isinstance(value, int) else math.floor(_EXACT.multiply(value, Decimal(per_unit)))
    return min(max(exact, -_NO_MOMENT), _NO_MOMENT)


def _aware(values: pd.Series) -> tuple[Milliseconds, Reasons]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return _milliseconds_of(values), np.full(len(values), None, dtype=object)
    texts, has_offset, reasons = _texts_of(values)
    moments = _parse(np.where(has_offset, texts, _NOTHING), utc=True)
    reasons[_none(reasons) & moments.isna().to_numpy()] = Reason.INVALID_TIMESTAMP
    return _milliseconds_of(moments), reasons


def _local(values: pd.Series, zones: pd.Series, ambiguous: Ambiguous, nonexistent: Nonexistent) -> tuple[Milliseconds, Reasons]:
    if pd.api.types.is_datetime64_dtype(values.dtype):
        parsed, reasons = values, np.full(len(values), None, dtype=object)
    else:
        texts, has_offset, reasons = _texts_of(values)
        parsed = _parse(np.where(has_offset, _NOTHING, texts), utc=False)
        reasons[_none(reasons) & parsed.isna().to_numpy()] = Reason.INVALID_TIMESTAMP
    walls = parsed.to_numpy(dtype="datetime64[us]")
    milliseconds = np.zeros(len(values), dtype=np.int64)
    try:
        codes, names = pd.factorize(zones)
    except TypeError:  # values that cannot be compared, such as lists
        codes, names = pd.factorize(zones.map(lambda name: name if isinstance(name, str) else None))
    codes = np.where(_none(reasons), codes, len(names))
    by_zone = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[by_zone], np.arange(-1, len(names) + 1))
    for name, first, end in zip([None, *names], bounds, bounds[1:], strict=False):
        rows, zone = by_zone[first:end], zone_named(name)
        if zone is None:
            reasons[rows] = Reason.UNKNOWN_TIMEZONE
        elif len(rows):
            milliseconds[rows], reasons[rows] = _localize(walls[rows], zone, ambiguous, nonexistent)
    return milliseconds, reasons


def _localize(
    walls: NDArray[np.datetime64], zone: ZoneInfo, ambiguous: Ambiguous, nonexistent: Nonexistent
) -> tuple[Milliseconds, Reasons]:
    repeated: Any = np.zeros(len(walls), dtype=bool) if ambiguous is Ambiguous.LATER else "NaT"
    inside = walls.clip(*_CALENDAR)
    moments = pd.DatetimeIndex(inside).tz_localize(zone, ambiguous=repeated, nonexistent="NaT")
    milliseconds, reasons = moments.asi8 // 1000, np.full(len(walls), None, dtype=object)
    for row in np.flatnonzero(moments.isna()):
        # A skipped time, or a repeated one that the source rejects: few rows, and fold=0 is the offset before a gap (PEP 495).
        wall = inside[row].item()
        before, after = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
        milliseconds[row] = to_milliseconds(before)
        if before.utcoffset() > after.utcoffset():
            reasons[row] = Reason.AMBIGUOUS_LOCAL_TIME
        elif nonexistent is Nonexistent.REJECT:
            reasons[row] = Reason.NONEXISTENT_LOCAL_TIME
    return milliseconds + (walls - inside) // np.timedelta64(1, "ms"), reasons


def _texts_of(values: pd.Series) -> tuple[Reasons, NDArray[np.bool_], Reasons]:
    """The values as ISO text of at most microseconds, which of them carry an offset, and why a value is no such text."""
    given = values.tolist()
    texts, reasons = np.full(len(values), None, dtype=object), np.full(len(values), None, dtype=object)
    has_offset = np.zeros(len(values), dtype=bool)
    if all(type(value) is str for value in given) and (is_moment := _of_one_form(given)) is not None:
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

    A column has as a rule one form, and is read in a quarter of the time.
    """
    for form, has_offset in ((_MOMENT.fullmatch, True), (_WALL.fullmatch, False)):
        if all(map(form, texts)):
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
    for row in np.flatnonzero(parsed.isna().to_numpy() & ~_none(texts)).tolist():
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


def _none(things: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.array([thing is None for thing in things.tolist()], dtype=bool)


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
