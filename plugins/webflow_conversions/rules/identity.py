"""From identity keys to the users that Webflow knows.

``user_domain`` and ``user_id`` must be what ``wf.setUserId()`` was given, to the letter
(docs/webflow-api.md, When a received conversion is attributed, 1).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from webflow_conversions.rules.ids import texts_of
from webflow_conversions.rules.personal_data import PersonalData, has_email, hashed, looks_like_personal_data
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.text import PLACEHOLDERS, is_placeholder, is_plain, is_storable
from webflow_conversions.rules.timestamps import moments_of

REQUIRED_COLUMNS = ("identity_key", "user_domain", "user_id", "identified_at")
FORMER_COLUMNS = ("viewed_at", "session_started_at", "last_active_at")
"""Columns that are no longer read: they rejected conversions that count. ``attribution.visits`` has taken their place."""


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
    frame = pd.DataFrame({name: texts_of(rows[name].tolist()) for name in _TEXTS}, dtype=object)
    frame["identified_at"] = pd.Series(pd.NA, index=rows.index, dtype="Int64")
    several = frame["identity_key"].duplicated(keep=False)
    if several.any():
        given = rows["identified_at"][several]
        moments = moments_of(given)
        frame.loc[several, "identified_at"] = moments
        if unreadable is not None:
            unreadable.add("identified_at", given[given.notna() & moments.isna()])
    return frame


_TEXTS = ("identity_key", "user_domain", "user_id")


def choose_users(conversions: pd.DataFrame, known_users: pd.DataFrame, personal_data: PersonalData) -> pd.DataFrame:
    """Choose the user of each conversion whose identity key has a known user.

    Of several users, the latest identified one is chosen, and before all others one identified before the conversion;
    ties go to the smaller user ID. Which of them Webflow credits is found later (``pipeline/attribution.py``).

    :param conversions: columns ``id``, ``identity_key``, ``action_timestamp_ms``.
    :param known_users: columns ``identity_key``, ``user_domain``, ``user_id``, and ``identified_at`` as ``Int64`` milliseconds,
        null where not known.
    :return: columns ``id``, ``user_domain``, ``user_id``, ``reason``, one row a conversion with a known user.
    """
    pairs = conversions.merge(known_users, on="identity_key", how="inner")
    if not pairs["id"].is_unique:
        pairs = _best(pairs)
    result = _as_sent(pairs, personal_data)
    result.insert(0, "id", pairs["id"].to_numpy())
    return result


def sendable_users(known_users: pd.DataFrame, personal_data: PersonalData) -> pd.DataFrame:
    """The users that can be sent, as they are sent: ``identity_key``, ``user_domain``, ``user_id``."""
    users = _as_sent(known_users, personal_data)
    users.insert(0, "identity_key", known_users["identity_key"].to_numpy(dtype=object))
    return users[users["reason"].isna()].drop(columns="reason").drop_duplicates(ignore_index=True)


def _as_sent(users: pd.DataFrame, personal_data: PersonalData) -> pd.DataFrame:
    """Users in the form in which they are sent, and the reason of each that cannot be."""
    domains = users["user_domain"].tolist()
    usual = {domain for domain in set(domains) if _is_usual(domain)}
    sent = [
        (domain, user_id, None) if domain in usual and _is_usual(user_id) else _user(domain, user_id, personal_data)
        for domain, user_id in zip(domains, users["user_id"].tolist(), strict=True)
    ]
    return pd.DataFrame(sent, columns=["user_domain", "user_id", "reason"], dtype=object)


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
    """One row for each conversion: of its users, the one to send."""
    identified = pairs["identified_at"].fillna(_ALWAYS_MS)
    order = {"id": True, "void": True, "after": True, "identified": False, "user_id": True, "user_domain": True}
    judged = pairs.assign(
        void=[_is_void(domain) or _is_void(user) for domain, user in zip(pairs["user_domain"], pairs["user_id"], strict=True)],
        identified=identified,
        after=identified > pairs["action_timestamp_ms"],
    )
    return judged.sort_values(list(order), ascending=list(order.values())).drop_duplicates("id")


_ALWAYS_MS = -(2**62)


def _is_void(text: str | None) -> bool:
    return text is None or not text.strip() or not is_storable(text) or is_placeholder(text)


def _is_usual(text: str | None) -> bool:
    """Whether nothing can be wrong with a user ID or domain, as with most: found in a third of the time of :func:`_user`."""
    return text is not None and is_plain(text) is not None and text.lower() not in PLACEHOLDERS


def _user(domain: str | None, user_id: str | None, personal_data: PersonalData) -> tuple[str | None, str | None, Reason | None]:
    """The user as it is sent, and the reason if it cannot be."""
    if domain is None or user_id is None or _is_void(domain) or _is_void(user_id):
        is_named = domain is not None and user_id is not None and (is_placeholder(domain) or is_placeholder(user_id))
        return None, None, Reason.PLACEHOLDER_USER_ID if is_named else Reason.INVALID_USER
    if has_email(domain):
        return None, None, Reason.PERSONAL_DATA_IN_USER_ID
    if looks_like_personal_data(user_id):
        if personal_data is PersonalData.REJECT:
            return None, None, Reason.PERSONAL_DATA_IN_USER_ID
        user_id = hashed(user_id)
    return domain, user_id, None
