"""Attribution: will Webflow credit a conversion? Judged before it is sent, and again while more data can change the verdict.

A verdict is knowledge and changes no state, unless the configuration says so: ``unknown: hold`` keeps back what would only be
known in the next night, ``will_not_count: skip`` rejects what no reading credits.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd

from webflow_conversions.pipeline.visits import Visits
from webflow_conversions.pipeline.warehouse import KnownUsers
from webflow_conversions.rules.attribution import judge
from webflow_conversions.rules.credit import Attribution, AttributionReason
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import MAX_AGE, from_milliseconds, to_milliseconds

PAGE_ROWS = 20_000
NIGHT = timedelta(hours=26)
"""Time until the next night's run has sent all: a day, and the 2 hours before the import in which it extracts, waits and sends.
A conversion with less time left than this is not held.
"""
ENOUGH_WITHOUT_VISITS = 20
"""Conversions of a page from which on it is no accident that the visits have none of their users."""
JUDGED_FOR = timedelta(days=3)
"""Age up to which a verdict that is not final is judged again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What follows from a verdict (``attribution.unknown: hold``, ``attribution.will_not_count: skip``)."""

    holds_unknown: bool = False
    skips_useless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """How conversions are judged by visits: the queries, and what follows from a verdict."""

    visits: Visits
    policy: Policy


class AttributionLedger(Protocol):
    """The ledger's methods that attribution calls."""

    def unsettled(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]: ...

    def record(self, verdicts: pd.DataFrame, now: datetime) -> None: ...


@dataclass(slots=True, kw_only=True)
class Judged:
    """Numbers of conversions by verdict, and of those held back or rejected for it.

    ``without_visits``: so many that the visits have none of their users; the IDs differ, so nothing is judged by them.
    """

    will_count: int = 0
    may_count: int = 0
    will_not_count: int = 0
    unknown: int = 0
    held: int = 0
    skipped: int = 0
    without_visits: int = 0

    @property
    def hint(self) -> str | None:
        """What looks wrong, in words without a full stop; None if nothing does."""
        if not self.without_visits:
            return None
        return f"the visits have none of the users of {self.without_visits:,} conversions: nothing was judged by them"


def attribute(users: KnownUsers, credit: Credit, ledger: AttributionLedger, clock: Callable[[], datetime]) -> Judged:
    """Judge what is about to go out, and again what was sent or waits and whose verdict is not final.

    :raises Unavailable: if a warehouse or the ledger went away; recorded verdicts stay.
    """
    visits, done, now = credit.visits, Judged(), clock()
    coverage = visits.coverage(now)
    for page in ledger.unsettled(now, PAGE_ROWS):
        asked, known = with_candidates(page, users)
        first = from_milliseconds(int(page["action_timestamp_ms"].min())) - timedelta(days=visits.history_days + 1)
        of_users = visits.of(known["user_id"].unique().tolist(), first, now)
        has_none = of_users.empty and len(page) >= ENOUGH_WITHOUT_VISITS
        done.without_visits += len(page) if has_none else 0
        reaches = replace(coverage, complete_until_ms=None) if has_none else coverage
        verdicts = with_consequences(page, judge(asked, known, of_users, reaches), credit.policy, now)
        for verdict, rows in verdicts["attribution"].value_counts().items():
            setattr(done, str(verdict), getattr(done, str(verdict)) + int(rows))
        done.held += int((verdicts["state"] == State.HELD).sum())
        done.skipped += int((verdicts["state"] == State.REJECTED).sum())
        ledger.record(verdicts, now)
    return done


def with_candidates(page: pd.DataFrame, users: KnownUsers) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Conversions and the users who can get them credited, as :func:`~webflow_conversions.rules.attribution.judge` takes them.

    Any user of its key can get a conversion credited that has not left yet. What has left, or may have, is with Webflow under one
    user, so it gets a key of its own, with this user alone.
    """
    has_left = page["state"].isin([State.SENDING, State.ACCEPTED]) | (page["attempts_in_doubt"] > 0)
    own_key = "\0" + page["id"].astype(str)
    own = page.loc[has_left, ["user_domain", "user_id"]].assign(identity_key=own_key[has_left])
    of_keys = users.all_of(page.loc[~has_left, "identity_key"].unique().tolist())
    asked = page.assign(identity_key=page["identity_key"].mask(has_left, own_key))
    return asked, pd.concat([of_keys, own], ignore_index=True)


def with_consequences(page: pd.DataFrame, verdicts: pd.DataFrame, policy: Policy, now: datetime) -> pd.DataFrame:
    """The verdicts with ``state``, ``reason``, ``user_domain`` and ``user_id`` that they give a conversion that is ready.

    All four are null where nothing changes. A conversion in doubt keeps its user, since Webflow may have it with this one.
    """
    is_ready = (page["state"] == State.READY).to_numpy(dtype=bool)
    may_wait = page["action_timestamp_ms"].to_numpy(dtype=np.int64) + MAX_AGE // timedelta(milliseconds=1) > to_milliseconds(
        now + NIGHT
    )
    verdict = verdicts["attribution"].to_numpy(dtype=object)
    is_in_doubt = (page["attempts_in_doubt"] > 0).to_numpy(dtype=bool)
    holds = is_ready & ~is_in_doubt & may_wait & (verdict == Attribution.UNKNOWN) & policy.holds_unknown
    skips = is_ready & ~is_in_doubt & (verdict == Attribution.WILL_NOT_COUNT) & policy.skips_useless
    takes_user = is_ready & ~is_in_doubt & ~skips & verdicts["user_id"].notna().to_numpy(dtype=bool)
    nothing = pd.Series([None] * len(verdicts), index=verdicts.index, dtype=object)
    return verdicts.assign(
        was=page["attribution"].to_numpy(dtype=object),
        visit=pd.Series([_visit(*row) for row in zip(*(verdicts[name] for name in _VISIT), strict=True)], dtype=object),
        state=nothing.mask(holds, State.HELD).mask(skips, State.REJECTED),
        reason=nothing.mask(holds, AttributionReason.NOT_LOADED_YET).mask(skips, verdicts["attribution_reason"]),
        user_domain=verdicts["user_domain"].where(takes_user, None),
        user_id=verdicts["user_id"].where(takes_user, None),
    )


_READINGS = ("strict", "wide", "lenient")
_VISIT = ("started_at", "last_active_at", "first_viewed_at", *_READINGS)


def _visit(started_at: Any, last_active_at: Any, first_viewed_at: Any, *credited: Any) -> str | None:
    """The visit and the readings under which it credits the conversion, as the ledger keeps them; None if none does."""
    readings = [
        reading for reading, is_credited in zip(_READINGS, credited, strict=True) if pd.notna(is_credited) and is_credited
    ]
    if not readings:
        return None
    moments = {"started_at": started_at, "last_active_at": last_active_at, "first_viewed_at": first_viewed_at}
    known = {name: None if pd.isna(moment) else int(moment) for name, moment in moments.items()}
    return json.dumps(known | {"readings": readings})
