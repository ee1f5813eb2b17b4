"""Identification: the last look at what waits before it is sent: is it still in the source, and whose is it now?

What this run has just extracted was joined to its user on the way into the ledger. The rest waits from earlier runs: it expires,
comes due, is withdrawn where its source promises all rows and no longer returns it, and gets the user that it has now.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import pandas as pd

from webflow_conversions.pipeline.guards import ENOUGH_MISSING, Limits
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.pipeline.warehouse import KnownUsers
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import Reason, State

PAGE_ROWS = 10_000
HINT_ROWS = 1_000
"""Held conversions of which it is asked whether their keys nearly equal a known one."""
LOOKED_UP = ("id", "action_timestamp_ms", "identity_key")
"""The columns of a conversion by which its user is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What the run's extraction of a source returned: rows read, and conversions recorded."""

    read_rows: int
    recorded_rows: int


class IdentificationLedger(Protocol):
    """The ledger's part of identification."""

    def expire(self, now: datetime) -> int: ...

    def arrive(self, now: datetime) -> int: ...

    def returned(self) -> Mapping[str, Returned]: ...

    def unseen(self, source: str) -> Amount: ...

    def withdraw(self, source: str, now: datetime) -> Amount: ...

    def waiting(self, page_rows: int) -> Iterator[pd.DataFrame]: ...

    def assign(self, users: pd.DataFrame, now: datetime) -> None: ...

    def held_keys(self, rows: int) -> pd.DataFrame: ...

    def identified(self) -> Mapping[str, SourceIdentified]: ...

    def record(self, identified: Mapping[str, SourceIdentified]) -> None: ...


@dataclass(slots=True, kw_only=True)
class Identified:
    """Numbers of conversions: expired, no longer in the future, withdrawn, looked up, with a known user, rejected."""

    expired: int = 0
    arrived: int = 0
    withdrawn: int = 0
    looked_up: int = 0
    known: int = 0
    rejected: int = 0


def identify(
    users: KnownUsers,
    ledger: IdentificationLedger,
    clock: Callable[[], datetime],
    *,
    returns_all: Collection[str] = (),
    limits: Limits | None = None,
    force: bool = False,
) -> Identified:
    """Expire what grew too old, wake what came due, withdraw what is gone, and give what waits the user that it has now.

    Looking up a page and recording the one before go on side by side.

    :param returns_all: the sources that promise every row of the window.
    :param limits: how much of a source may be withdrawn at once; ``force`` goes past them.
    """
    done = Identified()
    now = clock()
    done.expired = ledger.expire(now)
    done.arrived = ledger.arrive(now)
    found = _withdraw(ledger, now, returns_all, None if force else limits)
    ledger.record(found)
    done.withdrawn = sum(one.withdrawn.rows for one in found.values())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="assign") as recorder:
        pending: Future[None] | None = None

        def await_assigned() -> None:
            if pending is not None:
                pending.result()
                ledger.record(found)

        for page in ledger.waiting(PAGE_ROWS):
            chosen = users.of(page[list(LOOKED_UP)])
            done.looked_up += len(page)
            done.known += len(chosen)
            done.rejected += int(chosen["reason"].notna().sum())
            changes = user_changes(page, chosen)
            await_assigned()
            _count(found, page, changes)
            pending = recorder.submit(ledger.assign, changes, clock())
        await_assigned()
    _count_near_keys(found, ledger.held_keys(HINT_ROWS), users)
    ledger.record(found)
    return done


def may_withdraw(missing: Amount, returned: Returned, limits: Limits | None) -> bool:
    """Whether an extraction looks whole enough to believe that what it did not return is gone.

    :param limits: None for any extraction.
    """
    if limits is None:
        return True
    if not returned.read_rows:
        return False
    share = missing.rows / (missing.rows + returned.recorded_rows)
    return limits.withdrawn_share is None or missing.rows < ENOUGH_MISSING or share <= limits.withdrawn_share


def user_changes(page: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Who gets another user: ``id``, ``user_domain``, ``user_id``, ``reason``, and ``user_before``.

    What had no user and has none stays as it is; what had one, ready or held for its visits, and has none any more gets the
    reason ``unknown_user``.

    :param page: waiting conversions with the users that they have; ``chosen``: the result of ``choose_users`` for them.
    """
    before = page[["id", "source", "state", "user_domain", "user_id"]]
    both = before.merge(chosen, on="id", how="left", suffixes=("_before", ""))
    is_found, was_ready = both["id"].isin(chosen["id"]), both["state"] == State.READY
    had_user = both["user_id_before"].notna()
    both.loc[~is_found, "reason"] = Reason.UNKNOWN_USER
    same = (both["user_id"] == both["user_id_before"]) & (both["user_domain"] == both["user_domain_before"])
    is_changed = (is_found | had_user) & ~(was_ready & same & both["reason"].isna())
    both.loc[same, "user_id_before"] = None
    changed = both[is_changed].rename(columns={"user_id_before": "user_before"})
    return changed[["id", "source", "state", "user_domain", "user_id", "reason", "user_before"]]


def _withdraw(
    ledger: IdentificationLedger, now: datetime, returns_all: Collection[str], limits: Limits | None
) -> dict[str, SourceIdentified]:
    """What a source that promises all did not return: withdrawn where that is sure, counted where it is not."""
    returned = ledger.returned()
    found = {
        source: replace(one, unseen=Amount(), missing=Amount(), had_user=one.lost_user)
        for source, one in ledger.identified().items()
    }
    for source in sorted(returned.keys() & returns_all):
        one, unseen = found.get(source, SourceIdentified()), ledger.unseen(source)
        if not unseen.rows:
            continue
        if may_withdraw(unseen, returned[source], limits):
            found[source] = replace(one, withdrawn=one.withdrawn + ledger.withdraw(source, now))
        else:
            found[source] = replace(one, missing=unseen)
    return found


def _count(found: dict[str, SourceIdentified], page: pd.DataFrame, changes: pd.DataFrame) -> None:
    """Add what a page showed: rows that no extraction returned, and what became of the users of those that were ready."""
    for source, unseen in page[page["is_unseen"].astype(bool)].groupby("source"):
        one = found.get(str(source), SourceIdentified())
        if not one.missing.rows:
            found[str(source)] = replace(one, unseen=one.unseen + Amount.of(unseen["value"]))
    was_ready = changes[changes["state"] == State.READY]
    lost = was_ready[was_ready["reason"] == Reason.UNKNOWN_USER]["source"].value_counts()
    changed = was_ready[was_ready["reason"].isna()]["source"].value_counts()
    for name, rows in page[page["state"] == State.READY]["source"].value_counts().items():
        one = found.get(str(name), SourceIdentified())
        found[str(name)] = replace(
            one,
            had_user=one.had_user + int(rows),
            lost_user=one.lost_user + int(lost.get(name, 0)),
            user_changed=one.user_changed + int(changed.get(name, 0)),
        )


def _count_near_keys(found: dict[str, SourceIdentified], held: pd.DataFrame, users: KnownUsers) -> None:
    """Ask whether keys that are not known nearly are: a hint for whoever looks after the queries, nothing more."""
    near = users.near(held["identity_key"].unique().tolist())
    for source, rows in held.groupby("source"):
        keys = set(rows["identity_key"])
        one = found.get(str(source), SourceIdentified())
        found[str(source)] = replace(one, asked_keys=len(keys), near_keys=len(keys & near))
