"""The verdict on a conversion: will Webflow credit it to a variation that the visitor saw?

Webflow's pages contradict each other (docs/webflow-api.md, What no page says), so a conversion is judged under three readings
of the rule. A **visit** is one session of a user. It credits a conversion at ``t`` where all moments are UTC milliseconds and

- *strict*: ``started_at <= t < min(last_active_at + 30 minutes, started_at + 24 hours)`` and ``first_viewed_at < t``,
- *wide*: ``started_at <= t < started_at + 24 hours`` and ``first_viewed_at < t``,
- *lenient*: ``first_viewed_at < t``.

One visit suffices, under any user that the conversion's identity key has. What happens after ``t`` cannot change a positive.
A negative is only known where the visits are complete up to ``t`` and reach back far enough; until then it is ``unknown``.
It is final a day later, when every session around ``t`` is over: who is identified late in one has been its user all along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from webflow_conversions.rules.credit import Attribution, AttributionReason
from webflow_conversions.rules.ids import as_text
from webflow_conversions.rules.timestamps import moments_of

REQUIRED_COLUMNS = ("user_domain", "user_id", "started_at", "last_active_at", "first_viewed_at")
OPTIONAL_COLUMNS = ("session_id", "identified_at")

SESSION_IDLE_MS = 30 * 60 * 1000
"""A session ends after 30 minutes without activity (docs/webflow-api.md, When a received conversion is attributed, 4)."""
SESSION_MAX_MS = 24 * 60 * 60 * 1000
"""A session ends after 24 hours at the latest (docs/webflow-api.md, When a received conversion is attributed, 4)."""
_VISIT_MOMENTS = ("started_at", "last_active_at", "first_viewed_at")

EDGE_MS = 60 * 1000
"""Milliseconds by which the clocks of shop and site may differ: a verdict that such a shift would change is not sure."""
HISTORY_DAYS = 30
"""Days before a conversion in which a view counts, unless the caller says otherwise."""

MOST_PAIRS = 1_000_000
"""Pairs of a conversion and a user that are judged at once; a key that many users share must not fill the memory."""

_DAY_MS = 24 * 60 * 60 * 1000
_LATEST_MS = 4_102_444_800_000
"""The start of the year 2100. Moments before 1970 and after 2100 are judged as these two."""

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The period in which the visits are complete.

    ``complete_until_ms``: the last moment that is loaded; None if it is not known. ``complete_from_ms``: the first one; None if
    the visits reach back as far as needed. ``history_days``: a view that is older counts under no reading.
    """

    complete_until_ms: int | None
    complete_from_ms: int | None = None
    history_days: int = HISTORY_DAYS

    @classmethod
    def at(
        cls, now_ms: int, *, complete_until_ms: int | None, complete_from_ms: int | None = None, history_days: int = HISTORY_DAYS
    ) -> "Coverage":
        """The coverage that a warehouse reports at ``now_ms``; an end in the future is not believed, so it is not known."""
        is_credible = complete_until_ms is not None and complete_until_ms <= now_ms + EDGE_MS
        return cls(
            complete_until_ms=complete_until_ms if is_credible else None,
            complete_from_ms=complete_from_ms,
            history_days=history_days,
        )


def visits_frame(chunks: Sequence[Mapping[str, pd.Series]]) -> pd.DataFrame:
    """The rows of the visits query in the form that :func:`judge` takes.

    A moment without an offset is UTC, a number is an epoch; a value that is no moment is null.
    """
    rows = pd.concat(
        [pd.DataFrame(chunk, dtype=object) for chunk in chunks] or [pd.DataFrame(columns=list(REQUIRED_COLUMNS))],
        ignore_index=True,
    )
    texts = [name for name in ("user_domain", "user_id", "session_id") if name in rows]
    moments = [name for name in ("started_at", "last_active_at", "first_viewed_at", "identified_at") if name in rows]
    return pd.DataFrame(
        {name: pd.Series([as_text(value) for value in rows[name]], dtype=object) for name in texts}
        | {name: moments_of(rows[name]) for name in moments}
    )


def judge(conversions: pd.DataFrame, users: pd.DataFrame, visits: pd.DataFrame, coverage: Coverage) -> pd.DataFrame:
    """Judge each conversion by the visits of its users.

    :param conversions: columns ``id`` (unique), ``identity_key``, ``action_timestamp_ms``; optionally ``goal_reason``, the result
        of :func:`~webflow_conversions.rules.goals.check_goals`: without a goal no reading credits a conversion.
    :param users: columns ``identity_key``, ``user_domain``, ``user_id``: all users of the identity keys.
    :param visits: columns ``user_domain``, ``user_id``, and as milliseconds ``started_at``, ``last_active_at``,
        ``first_viewed_at``, optionally ``identified_at``; optionally ``session_id``. A comparison with a null moment
        fails; a null ``identified_at`` is no objection. Visits of other users are ignored.
    :return: one row a conversion, in the same order: ``id``, ``attribution``, ``attribution_reason``; ``strict``, ``wide`` and
        ``lenient``, whether each reading credits it, null where not known; ``is_final``, whether later data can change nothing;
        ``user_domain``, ``user_id``, ``visit_id``, ``started_at``, ``last_active_at`` and ``first_viewed_at`` of the visit that
        credits it under the narrowest reading;
        ``minutes_from_activity``, the whole minutes since the users' last activity, null if there was none in ``history_days``.
    """
    count = len(conversions)
    users = users[["identity_key", "user_domain", "user_id"]].dropna().drop_duplicates()
    if count > 1 and conversions["identity_key"].map(users["identity_key"].value_counts()).sum() > MOST_PAIRS:
        halves = (conversions.iloc[: count // 2], conversions.iloc[count // 2 :])
        return pd.concat([judge(half, users, visits, coverage) for half in halves], ignore_index=True)
    moment = conversions["action_timestamp_ms"]
    known = moment.notna().to_numpy(dtype=bool)
    t = np.clip(moment.to_numpy(dtype=np.int64, na_value=0), 0, _LATEST_MS)
    pairs = _Pairs.of(conversions["identity_key"], known, t, users)
    history_ms = coverage.history_days * _DAY_MS
    found = _find(pairs, _Visits.of(visits, pairs.users), history_ms)

    strict, wide, lenient = (pairs.any(found.strict >= 0), pairs.any(found.wide >= 0), pairs.any(found.lenient >= 0))
    safe, late = pairs.any(found.safe >= 0), pairs.any(found.safe_if_identified >= 0)
    has_goal = conversions["goal_reason"].isna().to_numpy(dtype=bool) if "goal_reason" in conversions else np.ones(count, bool)
    near = pairs.any(found.is_near)
    until, since = coverage.complete_until_ms, coverage.complete_from_ms
    is_complete = known & pairs.has_user & np.full(count, until is not None) & (t <= (until or 0))
    reaches_back = np.ones(count, dtype=bool) if since is None else since <= t - history_ms
    reaches_a_day_back = np.ones(count, dtype=bool) if since is None else since <= t - SESSION_MAX_MS

    A, R = Attribution, AttributionReason  # noqa: N806 - a table reads better with short names
    verdicts: list[tuple[Flags, Attribution, AttributionReason | None]] = [
        (~has_goal, A.WILL_NOT_COUNT, None),
        (safe, A.WILL_COUNT, None),
        (strict & late, A.MAY_COUNT, R.IDENTIFIED_LATER),
        (strict, A.MAY_COUNT, R.EDGE),
        (~is_complete, A.UNKNOWN, R.NOT_LOADED_YET),
        (near, A.MAY_COUNT, R.EDGE),
        (lenient & pairs.any(found.is_active), A.MAY_COUNT, R.OTHER_SESSION),
        (wide, A.MAY_COUNT, R.SESSION_IDLE),
        (lenient & pairs.any(found.is_over), A.MAY_COUNT, R.SESSION_OVER_24H),
        (lenient, A.MAY_COUNT, R.OTHER_SESSION),
        (~reaches_back, A.UNKNOWN, R.NOT_LOADED_YET),
        (pairs.any(found.viewed_later), A.WILL_NOT_COUNT, R.VIEWED_LATER),
    ]
    rule = np.select([flags for flags, _, _ in verdicts], np.arange(len(verdicts)).tolist(), len(verdicts))
    table = [(verdict, reason) for _, verdict, reason in verdicts] + [(A.WILL_NOT_COUNT, R.NO_VIEW)]
    attribution, reasons = (np.array([row[column] for row in table], dtype=object)[rule] for column in (0, 1))
    if not has_goal.all():
        reasons[~has_goal] = [AttributionReason(reason) for reason in conversions["goal_reason"][~has_goal]]
    result = _verdicts(conversions["id"], attribution, reasons)
    for name, credits_it, is_known in (
        ("strict", strict, is_complete & reaches_a_day_back),
        ("wide", wide, is_complete & reaches_a_day_back),
        ("lenient", lenient, is_complete & reaches_back),
    ):
        result[name] = pd.arrays.BooleanArray(credits_it & has_goal, has_goal & ~(credits_it | is_known))
    is_over = known & np.full(count, until is not None) & (t <= (until or 0) - SESSION_MAX_MS)
    result["is_final"] = (attribution == A.WILL_COUNT) | ~has_goal | (is_over & (attribution != A.UNKNOWN))
    no_moments = np.full(len(visits), -1, dtype=np.int64)
    visit = pairs.best(found, _clipped(visits["identified_at"]) if "identified_at" in visits else no_moments)
    has_visit = visit >= 0
    for name in ("user_domain", "user_id", "session_id", *_VISIT_MOMENTS):
        if name in visits:
            values: NDArray[np.object_] = np.full(count, None, dtype=object)
            values[has_visit] = visits[name].to_numpy(dtype=object)[visit[has_visit]]
            result[{"session_id": "visit_id"}.get(name, name)] = pd.Series(values, dtype=object)
    last = pairs.greatest(found.last_activity)
    last[last < t - history_ms] = -1
    result["minutes_from_activity"] = pd.arrays.IntegerArray(np.maximum(t - last, 0) // 60_000, last < 0)
    return result


def _verdicts(ids: pd.Series, attribution: NDArray[np.object_], reasons: NDArray[np.object_]) -> pd.DataFrame:
    """A frame of verdicts; nothing is known about the readings and the visit."""
    blank = pd.Series([None] * len(ids), dtype=object)
    return pd.DataFrame(
        {
            "id": ids.to_numpy(),
            "attribution": pd.Series(attribution, dtype=object),
            "attribution_reason": pd.Series(reasons, dtype=object),
            "strict": blank.astype("boolean"),
            "wide": blank.astype("boolean"),
            "lenient": blank.astype("boolean"),
            "is_final": np.zeros(len(ids), dtype=bool),
            "user_domain": blank,
            "user_id": blank,
            "visit_id": blank,
            **dict.fromkeys(_VISIT_MOMENTS, blank),
            "minutes_from_activity": blank.astype("Int64"),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Each conversion with each of its users. ``users`` gives each user its number, in the order of user ID and domain."""

    users: pd.DataFrame
    conversion: Numbers
    user: Numbers
    t: Numbers
    count: int
    has_user: Flags

    @classmethod
    def of(cls, keys: pd.Series, known: Flags, t: Numbers, users: pd.DataFrame) -> "_Pairs":
        numbered = users[["user_id", "user_domain"]].drop_duplicates().sort_values(["user_id", "user_domain"], ignore_index=True)
        numbered["user"] = np.arange(len(numbered), dtype=np.int64)
        of_key = users.merge(numbered, on=["user_domain", "user_id"])[["identity_key", "user"]]
        asked = pd.DataFrame({"identity_key": keys.to_numpy(dtype=object), "conversion": np.arange(len(keys), dtype=np.int64)})[
            known
        ]
        both = asked.merge(of_key, on="identity_key")
        conversion = both["conversion"].to_numpy(dtype=np.int64)
        has_user = np.zeros(len(keys), dtype=bool)
        has_user[conversion] = True
        return cls(
            users=numbered,
            conversion=conversion,
            user=both["user"].to_numpy(dtype=np.int64),
            t=t[conversion],
            count=len(keys),
            has_user=has_user,
        )

    def any(self, flags: Flags) -> Flags:
        """Whether a flag is set for any user of each conversion."""
        result = np.zeros(self.count, dtype=bool)
        result[self.conversion[flags]] = True
        return result

    def greatest(self, values: Numbers) -> Numbers:
        """The greatest value of each conversion's users; -1 without a user."""
        result = np.full(self.count, -1, dtype=np.int64)
        np.maximum.at(result, self.conversion, values)
        return result

    def best(self, found: "_Found", identified: Numbers) -> Numbers:
        """The row of the visit that credits each conversion under the narrowest reading; or -1.

        Of several users, the one identified latest before the conversion is taken; ties go to the smaller user ID.
        """
        result = np.full(self.count, -1, dtype=np.int64)
        for rows in (found.lenient, found.wide, found.strict, found.safe_if_identified, found.safe):
            pairs = np.flatnonzero(rows >= 0)
            since = identified[rows[pairs]]
            order = np.lexsort((-self.user[pairs], np.where(since > self.t[pairs], -1, since)))
            result[self.conversion[pairs[order]]] = rows[pairs[order]]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visits:
    """The visits of numbered users; a null moment is -1. ``row`` is the place in the frame of visits."""

    row: Numbers
    user: Numbers
    started: Numbers
    last_active: Numbers
    viewed: Numbers
    is_identified_later: Flags

    @classmethod
    def of(cls, visits: pd.DataFrame, users: pd.DataFrame) -> "_Visits":
        named = visits[["user_domain", "user_id"]].assign(row=np.arange(len(visits), dtype=np.int64)).dropna()
        known = named.merge(users, on=["user_domain", "user_id"]).sort_values("row")
        row = known["row"].to_numpy(dtype=np.int64)

        def moments(name: str) -> Numbers:
            of_rows: Numbers = _clipped(visits[name])[row]
            return of_rows

        started, last_active = moments("started_at"), moments("last_active_at")
        is_identified_later = np.zeros(len(row), dtype=bool)
        if "identified_at" in visits:
            end = np.minimum(last_active + SESSION_IDLE_MS, started + SESSION_MAX_MS)
            is_identified_later = moments("identified_at") >= end
        return cls(
            row=row,
            user=known["user"].to_numpy(dtype=np.int64),
            started=started,
            last_active=last_active,
            viewed=moments("first_viewed_at"),
            is_identified_later=is_identified_later,
        )

    def __getitem__(self, kept: Flags) -> "_Visits":
        return _Visits(
            row=self.row[kept],
            user=self.user[kept],
            started=self.started[kept],
            last_active=self.last_active[kept],
            viewed=self.viewed[kept],
            is_identified_later=self.is_identified_later[kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What each pair has: the row of a visit, or -1; a flag; ``last_activity`` in milliseconds, or -1.

    ``safe_if_identified``: a visit that credits strictly, also if a clock is 60 seconds off. ``safe``: the same, and its user was
    not identified later. ``is_near``: a clock that is 60 seconds off could make it strict. ``is_active``: during a visit, with or
    without a view. ``is_over``: 24 hours or more after the start of the visit of the latest view.
    """

    safe: Numbers
    safe_if_identified: Numbers
    strict: Numbers
    wide: Numbers
    lenient: Numbers
    is_near: Flags
    is_active: Flags
    is_over: Flags
    viewed_later: Flags
    last_activity: Numbers


def _find(pairs: _Pairs, visits: _Visits, history_ms: int) -> _Found:
    """Search the visits of each pair."""
    search = _Search(pairs, history_ms)
    seen = visits[visits.viewed >= 0]
    before, after = search.neighbours(seen.user, seen.viewed)
    age = pairs.t - _of(seen.viewed, before)
    is_lenient = (before >= 0) & (age <= history_ms)
    starts = _of(seen.started, before)

    # Only a visit that is around a conversion of its user can decide the rest.
    near = visits[search.is_around(visits.user, visits.started)]
    shown = near[near.viewed >= 0]
    outdated = shown.viewed + history_ms + 1
    begin = np.maximum(shown.started, shown.viewed + 1)
    end = np.minimum(_session_end(shown), outdated)

    def crediting(starts: Numbers, ends: Numbers) -> Numbers:
        return _of(shown.row, search.covering(shown.user, starts, ends))

    return _Found(
        safe=crediting(begin + EDGE_MS, np.where(shown.is_identified_later, 0, end - EDGE_MS)),
        safe_if_identified=crediting(begin + EDGE_MS, end - EDGE_MS),
        strict=crediting(begin, end),
        wide=crediting(begin, np.minimum(shown.started + SESSION_MAX_MS, outdated)),
        lenient=np.where(is_lenient, _of(seen.row, before), -1),
        is_near=(crediting(begin - EDGE_MS, end + EDGE_MS) >= 0) | ((after >= 0) & (_of(seen.viewed, after) < pairs.t + EDGE_MS)),
        is_active=search.covering(near.user, near.started, _session_end(near)) >= 0,
        is_over=is_lenient & (starts >= 0) & (pairs.t - starts >= SESSION_MAX_MS),
        viewed_later=after >= 0,
        last_activity=search.greatest(visits.user, visits.started, np.maximum(visits.started, visits.last_active)),
    )


def _session_end(visits: _Visits) -> Numbers:
    """The end of each visit by the strict reading; 0 where the last activity is not known."""
    end = np.minimum(visits.last_active + SESSION_IDLE_MS, visits.started + SESSION_MAX_MS)
    known: Numbers = np.where(visits.last_active < 0, 0, end)
    return known


class _Search:
    """Finds for each pair, by binary search, what its user has at its moment.

    User and moment make one number, so that one sorted array holds all users. Moments beyond those that can matter are moved to
    the ends of the range, which keeps the numbers small.
    """

    def __init__(self, pairs: _Pairs, history_ms: int) -> None:
        self._pairs = pairs
        self._low = int(pairs.t.min(initial=_LATEST_MS)) - history_ms - 1
        self._high = int(pairs.t.max(initial=0)) + EDGE_MS + 1
        self._span = max(self._high - self._low, 0) + 1
        self._asked = self._numbers(pairs.user, pairs.t)

    def is_around(self, user: Numbers, started: Numbers) -> Flags:
        """Whether a visit is close enough to a conversion of its user for the strict and the wide reading."""
        pairs, users = self._pairs, len(self._pairs.users)
        first, last = np.full(users, _LATEST_MS, dtype=np.int64), np.full(users, -1, dtype=np.int64)
        np.minimum.at(first, pairs.user, pairs.t)
        np.maximum.at(last, pairs.user, pairs.t)
        after, before = started >= first[user] - SESSION_MAX_MS - EDGE_MS, started <= last[user] + EDGE_MS
        is_around: Flags = (started >= 0) & after & before
        return is_around

    def neighbours(self, user: Numbers, moments: Numbers) -> tuple[Numbers, Numbers]:
        """The place of the last moment before each pair's, and of the first one that is not before it; or -1."""
        numbers = self._numbers(user, moments)
        order = np.argsort(numbers, kind="stable")
        after = np.searchsorted(numbers[order], self._asked, side="left")
        return self._own(user, order, after - 1), self._own(user, order, after)

    def covering(self, user: Numbers, starts: Numbers, ends: Numbers) -> Numbers:
        """The place of a half-open interval that holds each pair's moment, of several the one that ends last; or -1."""
        kept = np.flatnonzero(starts < ends)
        top, numbers, order = self._running_maximum(user[kept], starts[kept], ends[kept])
        place = np.searchsorted(numbers, self._asked, side="right") - 1
        found = np.flatnonzero(place >= 0)
        found = found[top[place[found]] > self._asked[found]]
        is_first = np.concatenate([np.ones(min(len(top), 1), dtype=bool), top[1:] > top[:-1]])
        owner = np.maximum.accumulate(np.where(is_first, np.arange(len(top)), 0))
        result = np.full(len(self._asked), -1, dtype=np.int64)
        result[found] = kept[order[owner[place[found]]]]
        return result

    def greatest(self, user: Numbers, starts: Numbers, values: Numbers) -> Numbers:
        """The greatest value of what starts at or before each pair's moment, this moment at most; or -1.

        Null starts are left out. A value before the range gets the range's start.
        """
        kept = starts >= 0
        top, numbers, _ = self._running_maximum(user[kept], starts[kept], values[kept])
        place = np.searchsorted(numbers, self._asked, side="right") - 1
        found = np.flatnonzero(place >= 0)
        found = found[numbers[place[found]] // self._span == self._pairs.user[found]]
        result = np.full(len(self._asked), -1, dtype=np.int64)
        result[found] = np.minimum(top[place[found]] % self._span + self._low, self._pairs.t[found])
        return result

    def _running_maximum(self, user: Numbers, starts: Numbers, values: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """The greatest value so far in the order of starts, the starts in this order, and the order itself."""
        numbers = self._numbers(user, starts)
        order = np.argsort(numbers, kind="stable")
        top: Numbers = np.maximum.accumulate(self._numbers(user, values)[order])
        return top, numbers[order], order

    def _own(self, user: Numbers, order: Numbers, places: Numbers) -> Numbers:
        """The places in the original order; -1 where a place is outside or another user's."""
        result = np.full(len(places), -1, dtype=np.int64)
        inside = np.flatnonzero((places >= 0) & (places < len(order)))
        original = order[places[inside]]
        own = user[original] == self._pairs.user[inside]
        result[inside[own]] = original[own]
        return result

    def _numbers(self, user: Numbers, moments: Numbers) -> Numbers:
        numbers: Numbers = user * self._span + (np.clip(moments, self._low, self._high) - self._low)
        return numbers


def _of(values: Numbers, places: Numbers) -> Numbers:
    """The value at each place; -1 for the place -1."""
    result = np.full(len(places), -1, dtype=np.int64)
    is_found = places >= 0
    result[is_found] = values[places[is_found]]
    return result


def _clipped(moments: pd.Series) -> Numbers:
    """Moments from 1970 to 2100; -1 for null."""
    is_known = moments.notna().to_numpy(dtype=bool)
    numbers = moments.to_numpy(dtype=np.int64, na_value=0) if is_known.any() else np.zeros(len(moments), dtype=np.int64)
    clipped: Numbers = np.where(is_known, np.clip(numbers, 0, _LATEST_MS), -1)
    return clipped
