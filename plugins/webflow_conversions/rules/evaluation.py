"""Evaluation of a chunk of source rows: the identity, timestamp, value and first state of each row."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.rules.amounts import Tally
from webflow_conversions.rules.event import action_id, is_event_name, stand_in_action_id
from webflow_conversions.rules.goals import Goal, check_goals
from webflow_conversions.rules.money import parse_value
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.timestamps import Ambiguous, Nonexistent, TimestampKind, to_utc_milliseconds
from webflow_conversions.rules.versions import OUTSIDE, TOO_OLD, choose_versions
from webflow_conversions.rules.window import Window, oldest_recorded_ms, sendable

REQUIRED_COLUMNS = ("conversion_id", "occurred_at", "identity_key")
OPTIONAL_COLUMNS = ("event_name", "value", "timezone")

LONGEST_TEXT = 500
"""Greatest length of a conversion ID or an identity key, in characters; a row with a longer text is rejected."""

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """The part of the configuration that decides how a source's rows are judged."""

    destination: str
    source: str
    event_name: str | None
    kind: TimestampKind
    timezone: str | None = None
    ambiguous: Ambiguous = Ambiguous.LATER
    nonexistent: Nonexistent = Nonexistent.OFFSET_BEFORE
    goals: Sequence[Goal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A chunk's conversions for the ledger, one row each, and the tally of the whole chunk.

    Columns: ``action_id``, ``event_name``, ``conversion_id``, ``action_timestamp_ms`` (``Int64``), ``value``
    (Decimal), ``identity_key``, ``state``, ``reason``, ``detail``, and the user's if there is one; those of
    :func:`~webflow_conversions.rules.versions.choose_versions`; ``beside``: why the row is no new conversion for this run.
    """

    conversions: pd.DataFrame
    tally: Tally


def evaluate(
    chunk: Mapping[str, pd.Series],
    rules: SourceRules,
    window: Window,
    now: datetime,
    *,
    clock_offset: timedelta | None = None,
    identify: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Evaluated:
    """Judge each row of a chunk, give it its user, and choose one row for each conversion.

    A valid row in time starts as held. ``identify`` gives such rows their users before the rows of a conversion are compared;
    without it all stay held.

    :param chunk: the query's columns as the driver gave them, each with the index 0, 1, 2, …
    :param now: the moment by which the age of each row is judged.
    :param clock_offset: the API's clock minus ours, see :func:`~webflow_conversions.rules.window.sendable`.
    """
    judged = _judge(chunk, rules, now)
    moments = judged["action_timestamp_ms"].fillna(0).to_numpy(dtype=np.int64)
    is_known = judged["action_timestamp_ms"].notna().to_numpy()
    too_old = is_known & (moments < oldest_recorded_ms(now))
    valid = judged["reason"].isna().to_numpy()
    may_be_sent, inside = sendable(now, clock_offset), window.interval
    expired = valid & (moments < may_be_sent.start_ms)
    future = valid & (moments >= may_be_sent.end_ms)
    due = valid & ~expired & ~future
    outside = due & ((moments < inside.start_ms) | (moments >= inside.end_ms))
    judged["state"] = np.select([expired, future, due], [State.EXPIRED, State.FUTURE, State.HELD], State.REJECTED)
    judged.loc[expired, "reason"] = Reason.EXPIRED_BEFORE_SEEN
    judged.loc[due, "reason"] = Reason.UNKNOWN_USER
    judged["beside"] = pd.Series(np.select([too_old, outside], [TOO_OLD, OUTSIDE], ""), dtype=object).replace("", None)
    kept, tally = choose_versions(judged if identify is None else identify(judged))
    return Evaluated(conversions=kept.reset_index(drop=True), tally=tally)


def _judge(chunk: Mapping[str, pd.Series], rules: SourceRules, now: datetime) -> pd.DataFrame:
    """Judge each row of the chunk: one judged row each, in the order of the chunk."""
    given = chunk["occurred_at"]
    blank = pd.Series([None] * len(given), dtype=object)
    raw_zones = chunk.get("timezone", blank)
    zones = raw_zones.where(raw_zones.notna() & (raw_zones != ""), rules.timezone)
    moments, time_reasons = to_utc_milliseconds(
        given, kind=rules.kind, zones=zones, ambiguous=rules.ambiguous, nonexistent=rules.nonexistent
    )
    raw = {name: _listed(column) for name, column in chunk.items()}
    raw_values = raw.get("value", blank)
    names = [as_text(name) or rules.event_name for name in raw.get("event_name", blank)]
    ids, keys = [as_text(value) for value in raw["conversion_id"]], [as_text(value) for value in raw["identity_key"]]
    goal_reasons = blank if rules.goals is None else check_goals(pd.Series(names, dtype=object), moments, rules.goals, now)
    money = [parse_value(value) for value in raw_values]
    stored_names, stored_ids, stored_keys = ([_storable(text) for text in texts] for texts in (names, ids, keys))
    # A row with several faults gets the reason of the first one.
    reasons = [
        (
            Reason.MISSING_CONVERSION_ID
            if conversion_id is None
            else None
            if stored_id is conversion_id
            else Reason.INVALID_CONVERSION_ID
        )
        or (Reason.MISSING_EVENT_NAME if name is None else None if is_event_name(name) else Reason.INVALID_EVENT_NAME)
        or time_reason
        or goal_reason
        or value_reason
        or (Reason.MISSING_IDENTITY if key is None or stored_key is not key else None)
        for conversion_id, stored_id, name, time_reason, goal_reason, (_, value_reason), key, stored_key in zip(
            ids, stored_ids, names, time_reasons, goal_reasons, money, keys, stored_keys, strict=True
        )
    ]
    action_ids = [
        action_id(rules.destination, rules.source, name or "", conversion_id)
        if conversion_id
        else stand_in_action_id(rules.destination, rules.source, name or "", repr([as_text(value) for value in said]))
        for name, conversion_id, *said in zip(names, ids, raw["occurred_at"], raw_zones, keys, raw_values, strict=True)
    ]
    timestamps = pd.array(moments, dtype="Int64")
    timestamps[np.array([reason is not None for reason in time_reasons], dtype=bool)] = pd.NA
    columns: dict[str, Any] = {
        "action_id": action_ids,
        "event_name": stored_names,
        "conversion_id": stored_ids,
        "value": [value for value, _ in money],
        "identity_key": stored_keys,
        "reason": reasons,
        "detail": [None if reason is None else _detail(reason, raw, row) for row, reason in enumerate(reasons)],
    }
    return pd.DataFrame(columns, dtype=object).assign(action_timestamp_ms=timestamps)


def _listed(column: pd.Series) -> list[Any]:
    """The values of a column as a list, with None for null of any column type."""
    values: list[Any] = (column if column.dtype == object else column.astype(object).where(column.notna(), None)).tolist()
    return values


def as_text(value: Any) -> str | None:
    """An ID as text, from any type that a driver returns: a whole number has no decimal point; None for a blank text."""
    if isinstance(value, str):
        return value if value.strip() else None
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal):
        text = f"{value:f}"
        whole, _, fraction = text.partition(".")
        return text if fraction.strip("0") else whole
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex() or None
    return str(value)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text: no NUL, and no half of a surrogate pair."""
    return "\0" not in text if text.isascii() else _NOT_STORABLE.search(text) is None


def _storable(text: str | None) -> str | None:
    """The text itself if the ledger can store it, else a shortened copy without the characters that cannot be stored."""
    if text is None or (len(text) <= LONGEST_TEXT and is_storable(text)):
        return text
    return _NOT_STORABLE.sub("\ufffd", text[:LONGEST_TEXT])


_CULPRIT = {
    Reason.INVALID_EVENT_NAME: "event_name",
    Reason.UNKNOWN_GOAL: "event_name",
    Reason.INVALID_TIMESTAMP: "occurred_at",
    Reason.AMBIGUOUS_LOCAL_TIME: "occurred_at",
    Reason.NONEXISTENT_LOCAL_TIME: "occurred_at",
    Reason.UNKNOWN_TIMEZONE: "timezone",
    Reason.INVALID_VALUE: "value",
    Reason.NEGATIVE_VALUE: "value",
}


def _detail(reason: Reason, raw: Mapping[str, Sequence[Any]], row: int) -> str | None:
    """The column at fault and its value in the source; never an identity key."""
    culprit = _CULPRIT.get(reason)
    if culprit is None or culprit not in raw:
        return None
    return f"{culprit} = {_storable(str(raw[culprit][row])[:100])}"
