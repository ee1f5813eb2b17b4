"""Identification: gives held conversions of earlier runs their user, and moves those that expired or whose time has come."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pandas as pd

from webflow_conversions.pipeline.warehouse import KnownUsers

PAGE_ROWS = 10_000


class IdentificationLedger(Protocol):
    """The ledger's part of identification."""

    def expire(self, now: datetime) -> int: ...

    def arrive(self, now: datetime) -> int: ...

    def held(self, page_rows: int) -> Iterator[pd.DataFrame]: ...

    def assign(self, users: pd.DataFrame, now: datetime) -> None: ...


@dataclass(slots=True, kw_only=True)
class Identified:
    """Numbers of conversions: expired, no longer in the future, looked up, with a known user, rejected."""

    expired: int = 0
    arrived: int = 0
    looked_up: int = 0
    known: int = 0
    rejected: int = 0


def identify(users: KnownUsers, ledger: IdentificationLedger, clock: Callable[[], datetime]) -> Identified:
    """Expire what grew too old, wake what came due, and give every held conversion of the window its user, if there is one.

    What this run has just extracted was joined on the way into the ledger.
    Looking up a page and recording the one before go on side by side.
    """
    done = Identified()
    now = clock()
    done.expired = ledger.expire(now)
    done.arrived = ledger.arrive(now)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="assign") as recorder:
        pending: Future[None] | None = None
        for page in ledger.held(PAGE_ROWS):
            chosen = users.of(page)
            done.looked_up += len(page)
            done.known += len(chosen)
            done.rejected += int(chosen["reason"].notna().sum())
            if pending is not None:
                pending.result()
            pending = recorder.submit(ledger.assign, chosen, clock())
        if pending is not None:
            pending.result()
    return done
