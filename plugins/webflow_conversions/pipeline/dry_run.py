"""A dry run of a source: all but the sending, on a ledger that keeps nothing of it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from webflow_conversions.pipeline.extraction import ExtractionLedger, extract
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.identification import LOOKED_UP, Returned, may_withdraw
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.evaluation import SourceRules
from webflow_conversions.rules.event import Event, shortened
from webflow_conversions.rules.states import Reason, State

PREVIEWS = 5
PAGE_ROWS = 10_000

States = dict[tuple[str, str | None], Amount]


class DryRunLedger(ExtractionLedger, Protocol):
    """A ledger that shows what recording would bring about, and takes it back."""

    states: States
    first_ready: list[Event]

    def unseen(self, now: datetime) -> Amount: ...

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """The result of a dry run of one source.

    ``states`` are the conversions by the state and reason that they would have before the push: ``ready`` is what would
    be sent. ``unseen`` are those among them that wait in the ledger and that the source did not return.
    ``first_ready`` are the first events to be sent.
    """

    tally: Tally
    states: States = field(default_factory=dict)
    unseen: Amount = field(default_factory=Amount)
    first_ready: list[Event] = field(default_factory=list)

    @property
    def to_send(self) -> Amount:
        """Conversions that would be sent."""
        return self.states.get((State.READY, None), Amount())


def dry_run(
    run: Run,
    rules: SourceRules,
    source: SourceQuery,
    users: KnownUsers,
    ledger: DryRunLedger,
    clock: Callable[[], datetime],
    *,
    returns_all: bool = False,
    limits: Limits | None = None,
) -> DryRun:
    """Read the source and show what the run would do, with what waits in the ledger and was not read again.

    :param returns_all: whether the source promises every row of the window; ``limits`` say how much it may withdraw.
    """
    tally = extract(run, rules, source, users, ledger, clock)
    states, first_ready = ledger.states, ledger.first_ready
    now = clock()
    unseen = ledger.unseen(now)
    returned = Returned(read_rows=tally.read.rows, recorded_rows=tally.recorded.rows)
    if returns_all and unseen.rows and may_withdraw(unseen, returned, limits):
        states[(State.WITHDRAWN, Reason.NO_LONGER_IN_SOURCE)] = unseen
        return DryRun(tally=tally, states=states, first_ready=first_ready)
    for page in ledger.waiting(now, PAGE_ROWS):
        chosen = page.drop(columns=["user_domain", "user_id"]).merge(users.of(page[list(LOOKED_UP)]), on="id", how="left")
        chosen.loc[chosen["user_id"].isna() & chosen["reason"].isna(), "reason"] = Reason.UNKNOWN_USER
        for reason, rows in chosen.groupby(chosen["reason"].fillna("")):
            code = str(reason)
            state = State.HELD if code == Reason.UNKNOWN_USER else State.REJECTED if code else State.READY
            states[(state, code or None)] = states.get((state, code or None), Amount()) + Amount.of(rows["value"])
        sendable = chosen[chosen["reason"].isna()].head(max(PREVIEWS - len(first_ready), 0))
        first_ready += map(Event._make, sendable[list(Event._fields)].itertuples(index=False))
    return DryRun(tally=tally, states=states, unseen=unseen, first_ready=first_ready)


def preview(event: Event, customer_id: str) -> dict[str, Any]:
    """The payload of an event for people, its user ID shortened."""
    payload: dict[str, Any] = json.loads(event.body(customer_id))
    return payload | {"userId": shortened(event.user_id)}
