"""From held conversions to ready ones: the join to the users that Webflow knows, and what time does meanwhile."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from webflow_conversions.errors import Unusable
from webflow_conversions.pipeline.extraction import Warehouse
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.identity import PersonalData, choose_users, known_users_frame

REQUIRED_COLUMNS = ("identity_key", "user_domain", "user_id", "identified_at")
OPTIONAL_COLUMNS = ("viewed_at", "session_started_at", "last_active_at")

PAGE_ROWS = 10_000


class IdentificationLedger(Protocol):
    """What identification needs of the ledger."""

    def expire(self, now: datetime) -> int: ...

    def arrive(self, latest: datetime) -> int: ...

    def held(self, page_rows: int) -> Iterator[pd.DataFrame]: ...

    def assign(self, users: pd.DataFrame, now: datetime) -> None: ...


@dataclass(slots=True, kw_only=True)
class Identified:
    """What identification did: conversions that expired while they waited, came due, were looked up, and found a user."""

    expired: int = 0
    arrived: int = 0
    looked_up: int = 0
    known: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUsers:
    """The warehouse's query for known users."""

    warehouse: Warehouse
    sql: str
    personal_data: PersonalData

    def columns(self) -> list[str]:
        """The columns of the query that count.

        :raises Unusable: if it lacks one, or the database refuses it.
        """
        found = self.warehouse.columns(self.sql, {"identity_keys": [""]})
        missing = [name for name in REQUIRED_COLUMNS if name not in found]
        if missing:
            raise Unusable(f"The query of known_users does not return {' and '.join(missing)}: add it to the SELECT.")
        return [name for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if name in found]

    def look_up(self, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
        """All known users of these keys, in the form that :func:`choose_users` takes."""
        chunks: list[Mapping[str, pd.Series]] = []
        step = self.warehouse.keys_per_query
        for first in range(0, len(keys), step):
            binds: dict[str, Any] = {"identity_keys": list(keys[first : first + step])}
            self.warehouse.read(self.sql, binds, columns, chunks.append)
        return known_users_frame(chunks)


def identify(run: Run, users: KnownUsers, ledger: IdentificationLedger, clock: Callable[[], datetime]) -> Identified:
    """Expire what grew too old, wake what came due, and give every held conversion of the window its user, if there is one.

    Looking up a page and recording the one before go on side by side.
    """
    done = Identified()
    now = clock()
    done.expired = ledger.expire(now)
    done.arrived = ledger.arrive(run.latest(now))
    columns = users.columns()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="assign") as recorder:
        pending: Future[None] | None = None
        for page in ledger.held(PAGE_ROWS):
            known = users.look_up(page["identity_key"].unique().tolist(), columns)
            chosen = choose_users(page, known, users.personal_data)
            done.looked_up += len(page)
            done.known += len(chosen)
            done.rejected += int(chosen["reason"].notna().sum())
            if pending is not None:
                pending.result()
            pending = recorder.submit(ledger.assign, chosen, clock())
        if pending is not None:
            pending.result()
    return done
