"""From identity keys to the users that Webflow knows.

``user_domain`` and ``user_id`` must be what ``wf.setUserId()`` was given, to the letter
(docs/webflow-api.md, When a received conversion is attributed, 1).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd

from webflow_conversions.rules.personal_data import PersonalData, has_email, hashed, looks_like_personal_data
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.text import as_text, is_placeholder, is_storable
from webflow_conversions.rules.timestamps import TimestampKind, to_utc_milliseconds

REQUIRED_COLUMNS = ("identity_key", "user_domain", "user_id", "identified_at")
OPTIONAL_COLUMNS = ("viewed_at", "session_started_at", "last_active_at")

SESSION_IDLE_MS = 30 * 60 * 1000
"""A session ends after 30 minutes without activity (docs/webflow-api.md, When a received conversion is attributed, 4)."""
SESSION_MAX_MS = 24 * 60 * 60 * 1000
"""A session ends after 24 hours at the latest (docs/webflow-api.md, When a received conversion is attributed, 4)."""


def variants(key: str) -> set[str]:
    """Other ways to write an identity key, as the two sides of a join often differ: case, blanks, zeros before, ``.0`` behind."""
    bare = key.strip()
    whole = bare.removesuffix(".0")
    written = {bare, f"{bare} ", whole, f"{whole}.0", whole.lstrip("0")}
    return {form for text in written for form in (text, text.lower(), text.upper()) if form.strip()} - {key}


class UnreadableTimes:
    """Times of known users that could not be read, by column: their number, and the form of one of them."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.forms: dict[str, str] = {}

    def add(self, column: str, values: pd.Series) -> None:
        """Count the values of a column, none of which could be read."""
        given = [value for value in values.tolist() if not (isinstance(value, str) and not value.strip())]
        if given:
            self.rows[column] += len(given)
            self.forms.setdefault(column, _form(given[0]))

    @property
    def sentence(self) -> str | None:
        """What could not be read, in words without a full stop; None if all could."""
        parts = (
            f"{column} of {rows:,} {'row' if rows == 1 else 'rows'} (such as {self.forms[column]})"
            for column, rows in sorted(self.rows.items())
        )
        found = " and ".join(parts)
        return f"known_users: {found} could not be read as a time and counts as unknown" if found else None


def _form(value: Any) -> str:
    """The form of a value without its content: 9 for a digit, a or A for a letter; the type of what is no text."""
    if not isinstance(value, str):
        return type(value).__name__
    return "".join("9" if c.isdigit() else ("A" if c.isupper() else "a") if c.isalpha() else c for c in value[:40])


def known_users_frame(chunks: Sequence[Mapping[str, pd.Series]], unreadable: UnreadableTimes | None = None) -> pd.DataFrame:
    """The rows of the known_users query in the form that :func:`choose_users` takes.

    A time without an offset is UTC, a date is its first moment in UTC, a number is an epoch; any other value is no time, and
    is counted in ``unreadable``. ``identified_at`` is read where a key has several users, since it decides between them alone.
    """
    rows = pd.concat(
        [pd.DataFrame(chunk, dtype=object) for chunk in chunks] or [pd.DataFrame(columns=list(_TEXTS))], ignore_index=True
    )
    frame = pd.DataFrame({name: [as_text(value) for value in rows[name]] for name in _TEXTS}, dtype=object)
    several = frame["identity_key"].duplicated(keep=False)
    columns = {"identified_at": rows["identified_at"].where(several, None)} if len(rows) else {}
    columns |= {name: rows[name] for name in OPTIONAL_COLUMNS if name in rows}
    for name in ("identified_at", *OPTIONAL_COLUMNS):
        given = columns.get(name)
        frame[name] = pd.Series(pd.NA, index=rows.index, dtype="Int64") if given is None else _milliseconds(given)
        if given is not None and unreadable is not None:
            unreadable.add(name, given[given.notna() & frame[name].isna()])
    return frame


_TEXTS = ("identity_key", "user_domain", "user_id")


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _first_moment(value: Any) -> Any:
    """The first moment of a date as a local time; another value as it is."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"{value.isoformat()}T00:00:00"
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        return f"{value.strip()}T00:00:00"
    return value


def _milliseconds(values: pd.Series) -> pd.Series:
    if values.dtype == object:
        values = values.map(_first_moment)
    found = pd.Series(pd.NA, index=values.index, dtype="Int64")
    for kind in (TimestampKind.AWARE, TimestampKind.LOCAL, TimestampKind.EPOCH_SECONDS, TimestampKind.EPOCH_MILLISECONDS):
        left = found.isna() & values.notna()
        if not left.any():
            break
        milliseconds, reasons = to_utc_milliseconds(values[left], kind=kind, zones="UTC")
        found[left] = pd.array(
            [ms if reason is None else pd.NA for ms, reason in zip(milliseconds, reasons, strict=True)], dtype="Int64"
        )
    return found


def choose_users(conversions: pd.DataFrame, known_users: pd.DataFrame, personal_data: PersonalData) -> pd.DataFrame:
    """Choose the user of each conversion whose identity key has a known user.

    Of several users, the latest identified one is chosen, and before all others one identified before the conversion;
    ties go to the smaller user ID. A conversion is rejected if none of the user's rows lets Webflow attribute
    the conversion (rules 3 and 4), as far as the query returns the visitor's first view and last activity.

    :param conversions: columns ``id``, ``identity_key``, ``action_timestamp_ms``.
    :param known_users: columns ``identity_key``, ``user_domain``, ``user_id`` and, as ``Int64`` milliseconds and null
        where not known, ``identified_at``, ``viewed_at``, ``session_started_at``, ``last_active_at``.
    :return: columns ``id``, ``user_domain``, ``user_id``, ``reason``, one row a conversion with a known user.
    """
    pairs = conversions.merge(known_users, on="identity_key", how="inner")
    pairs["void"] = [
        _is_void(domain) or _is_void(user) for domain, user in zip(pairs["user_domain"], pairs["user_id"], strict=True)
    ]
    pairs["identified"] = pairs["identified_at"].fillna(_ALWAYS_MS)
    pairs["after"] = pairs["identified"] > pairs["action_timestamp_ms"]
    pairs["attribution"] = _attribution(pairs)
    pairs["lost"] = pairs["attribution"].notna()
    best = pairs if pairs["id"].is_unique else _best(pairs)
    users = [
        _user(*row, personal_data)
        for row in zip(best["user_domain"], best["user_id"], best["void"], best["attribution"], strict=True)
    ]
    result = pd.DataFrame(users, columns=["user_domain", "user_id", "reason"], dtype=object)
    result.insert(0, "id", best["id"].to_numpy())
    return result


def with_users(conversions: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """The conversions with their users: state ready, or rejected if the user has a reason.

    :param users: the result of :func:`choose_users`; ``id`` is the conversion's place in the index.
    """
    joined = conversions.join(users.set_index("id").rename(columns={"reason": "user_reason"}))
    found = conversions.index.isin(users["id"])
    rejected = found & joined["user_reason"].notna().to_numpy()
    joined.loc[found, "state"] = State.READY
    joined.loc[rejected, "state"] = State.REJECTED
    joined.loc[found, "reason"] = joined.loc[found, "user_reason"]
    return joined


def _best(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row for each conversion: of the chosen user's rows, the one that lets Webflow attribute the conversion."""
    order = {"id": True, "void": True, "after": True, "identified": False, "user_id": True, "user_domain": True}
    chosen = pairs.sort_values(list(order), ascending=list(order.values())).drop_duplicates("id")[
        ["id", "user_domain", "user_id"]
    ]
    return (
        chosen.merge(pairs, on=["id", "user_domain", "user_id"]).sort_values(["id", "lost", "attribution"]).drop_duplicates("id")
    )


_ALWAYS_MS = -(2**62)


def _is_void(text: str | None) -> bool:
    return text is None or not text.strip() or not is_storable(text) or is_placeholder(text)


def _user(
    domain: str | None, user_id: str | None, void: bool, attribution: Reason | None, personal_data: PersonalData
) -> tuple[str | None, str | None, Reason | None]:
    if void or domain is None or user_id is None:
        is_named = domain is not None and user_id is not None and (is_placeholder(domain) or is_placeholder(user_id))
        return None, None, Reason.PLACEHOLDER_USER_ID if is_named else Reason.INVALID_USER
    if has_email(domain):
        return None, None, Reason.PERSONAL_DATA_IN_USER_ID
    if looks_like_personal_data(user_id):
        if personal_data is PersonalData.REJECT:
            return None, None, Reason.PERSONAL_DATA_IN_USER_ID
        user_id = hashed(user_id)
    return domain, user_id, attribution


def _attribution(pairs: pd.DataFrame) -> pd.Series:
    """The reason for which Webflow cannot attribute the conversion to this row's visitor; None if Webflow may.

    Only the end of the last known session is checked: a conversion after that end cannot be attributed, while a
    conversion before that session may belong to an earlier session, which the query does not return.
    """
    moment = pairs["action_timestamp_ms"]
    ends = pairs["last_active_at"] + SESSION_IDLE_MS
    longest = pairs["session_started_at"] + SESSION_MAX_MS
    reasons = pd.Series([None] * len(pairs), index=pairs.index, dtype=object)
    reasons[((moment >= ends) | (moment >= longest)).fillna(False).to_numpy(dtype=bool)] = Reason.OUTSIDE_SESSION
    reasons[(pairs["viewed_at"] >= moment).fillna(False).to_numpy(dtype=bool)] = Reason.NOT_VIEWED_BEFORE
    return reasons
