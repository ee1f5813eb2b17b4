"""Evaluation of a chunk of source rows: the identity, timestamp, value and first state of each row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.rules.amounts import Tally
from webflow_conversions.rules.event import action_id, is_event_name, stand_in_action_id
from webflow_conversions.rules.goals import check_goals
from webflow_conversions.rules.ids import as_text, fault_of, texts_of
from webflow_conversions.rules.money import parse_value
from webflow_conversions.rules.personal_data import PersonalDataInIds, has_email, hashed, looks_like_personal_data
from webflow_conversions.rules.source import SourceRules
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.text import (
    PLACEHOLDERS_OF_A_CONVERSION,
    is_placeholder_of_a_conversion,
    is_plain,
    stands_for_nothing,
    storable,
    written,
)
from webflow_conversions.rules.timestamps import to_utc_milliseconds
from webflow_conversions.rules.versions import OUTSIDE, TOO_OLD, choose_versions
from webflow_conversions.rules.window import Window, oldest_recorded_ms, sendable

REQUIRED_COLUMNS = ("conversion_id", "occurred_at", "identity_key")
OPTIONAL_COLUMNS = ("event_name", "value", "timezone")


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
    zones: pd.Series | str | None = rules.timezone
    if "timezone" in chunk:
        zones = chunk["timezone"].where(chunk["timezone"].notna() & (chunk["timezone"] != ""), rules.timezone)
    moments, time_reasons = to_utc_milliseconds(
        given, kind=rules.kind, zones=zones, ambiguous=rules.ambiguous, nonexistent=rules.nonexistent
    )
    raw = {name: _listed(column) for name, column in chunk.items()}
    blank = [None] * len(given)
    names = [name or rules.event_name for name in texts_of(raw.get("event_name", blank))]
    ids = _conversion_ids(raw["conversion_id"], rules.personal_data)
    keys = texts_of(raw["identity_key"])
    goal_reasons = blank if rules.goals is None else check_goals(pd.Series(names, dtype=object), moments, rules.goals, now)
    money = [parse_value(value) for value in raw.get("value", blank)]
    stored_keys = [key if key is None or is_plain(key) else storable(key) for key in keys]
    name_reasons = {name: _fault_of_name(name) for name in set(names)}
    stored_names = {name: None if name is None or has_email(name) else storable(name) for name in name_reasons}
    # A row with several faults gets the reason of the first one.
    reasons = [
        id_reason
        or name_reasons[name]
        or time_reason
        or goal_reason
        or value_reason
        or (Reason.MISSING_IDENTITY if key is None or stored_key is not key else None)
        for (_, _, id_reason), name, time_reason, goal_reason, (_, value_reason), key, stored_key in zip(
            ids, names, time_reasons, goal_reasons, money, keys, stored_keys, strict=True
        )
    ]
    names_in_ids = {name: (stored and name) or "" for name, stored in stored_names.items()}
    said = [raw.get(column, blank) for column in ("conversion_id", "occurred_at", "timezone")] + [keys, raw.get("value", blank)]
    action_ids = [
        action_id(rules.destination, rules.source, names_in_ids[name], own)
        if own is not None
        else stand_in_action_id(rules.destination, rules.source, names_in_ids[name], _content(*(column[row] for column in said)))
        for row, (name, (own, _, _)) in enumerate(zip(names, ids, strict=True))
    ]
    timestamps = pd.array(moments, dtype="Int64")
    timestamps[np.array([reason is not None for reason in time_reasons], dtype=bool)] = pd.NA
    columns: dict[str, Any] = {
        "action_id": action_ids,
        "event_name": [stored_names[name] for name in names],
        "conversion_id": [stored_id for _, stored_id, _ in ids],
        "value": [value for value, _ in money],
        "identity_key": stored_keys,
        "reason": reasons,
        "detail": [None if reason is None else _detail(reason, raw, row) for row, reason in enumerate(reasons)],
    }
    return pd.DataFrame(columns, dtype=object).assign(action_timestamp_ms=timestamps)


def _listed(column: pd.Series) -> list[Any]:
    """The values of a column as a list, with None for null of any column type."""
    if column.dtype in (np.float16, np.float32):
        return [None if value != value else value for value in column.to_numpy()]  # tolist() would give them digits of a double
    values: list[Any] = (column if column.dtype == object else column.astype(object).where(column.notna(), None)).tolist()
    return values


_ConversionId = tuple[str | None, str | None, Reason | None]
"""The ID that tells the conversion apart (None if it has none), the ID to store, and the reason for a rejection."""


def _conversion_ids(given: Sequence[Any], personal_data: PersonalDataInIds) -> list[_ConversionId]:
    return [
        (text, text, None)
        if text is not None and is_plain(text) and text.lower() not in PLACEHOLDERS_OF_A_CONVERSION
        else _conversion_id(value, text, personal_data)
        for value, text in zip(given, texts_of(given), strict=True)
    ]


def _conversion_id(given: Any, text: str | None, personal_data: PersonalDataInIds) -> _ConversionId:
    if text is None:
        is_null = fault_of("conversion_id", given) is None
        return None, None, Reason.MISSING_CONVERSION_ID if is_null else Reason.INVALID_CONVERSION_ID
    if is_placeholder_of_a_conversion(text):
        return None, text, Reason.INVALID_CONVERSION_ID
    if personal_data is not PersonalDataInIds.ALLOW and looks_like_personal_data(text):
        digest = hashed(text)
        if personal_data is PersonalDataInIds.SHA256:
            return digest, digest, None
        return None, digest, Reason.PERSONAL_DATA_IN_CONVERSION_ID
    stored = storable(text)
    return text, stored, None if stored is text else Reason.INVALID_CONVERSION_ID


def _content(*row: Any) -> str:
    """The content of a row without a usable ID: what tells it from another one."""
    texts = [(value, as_text(value)) for value in row]
    return repr([written(value) if text is None and fault_of("", value) else text for value, text in texts])


def _fault_of_name(name: str | None) -> Reason | None:
    if name is None:
        return Reason.MISSING_EVENT_NAME
    return None if is_event_name(name) and not stands_for_nothing(name) else Reason.INVALID_EVENT_NAME


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
    """What is wrong: the column at fault and its value in the source, but never an identity key nor personal data."""
    if reason is Reason.INVALID_CONVERSION_ID:
        return _detail_of_id(raw["conversion_id"][row])
    if reason is Reason.MISSING_IDENTITY:
        return fault_of("identity_key", raw["identity_key"][row])
    culprit = _CULPRIT.get(reason)
    if culprit is None or culprit not in raw:
        return None
    text = storable(written(raw[culprit][row])[:100])
    return f"{culprit} holds an e-mail address" if has_email(text) else f"{culprit} = {text}"


def _detail_of_id(given: Any) -> str | None:
    text = as_text(given)
    if text is not None and is_placeholder_of_a_conversion(text):
        return f"conversion_id = {text}, which a program writes where there is none"
    return fault_of("conversion_id", given)
