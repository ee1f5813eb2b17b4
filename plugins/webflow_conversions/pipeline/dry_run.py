"""A dry run of a source: all but the sending, on a ledger that keeps nothing of it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

import pandas as pd

from webflow_conversions.pipeline.extraction import ExtractionLedger, extract
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

    def waiting(self, state: State, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """The result of a dry run of one source.

    ``states`` are the conversions by the state and reason that they would have before the push: ``ready`` is what would
    be sent. ``first_ready`` are the first events of these.
    """

    tally: Tally
    states: States = field(default_factory=dict)
    first_ready: list[Event] = field(default_factory=list)

    @property
    def to_send(self) -> Amount:
        """Conversions that would be sent."""
        return self.states.get((State.READY, None), Amount())


def dry_run(
    run: Run, rules: SourceRules, source: SourceQuery, users: KnownUsers, ledger: DryRunLedger, clock: Callable[[], datetime]
) -> DryRun:
    """Read the source and show what the run would do, with what waits in the ledger and was not read again."""
    tally = extract(run, rules, source, users, ledger, clock)
    states = ledger.states
    now = clock()
    for page in ledger.waiting(State.READY, now, PAGE_ROWS):
        _add(states, State.READY, None, page)
    for page in chain(ledger.waiting(State.HELD, now, PAGE_ROWS), ledger.waiting(State.FUTURE, now, PAGE_ROWS)):
        chosen = users.of(page)
        rejected = dict(zip(chosen["id"], chosen["reason"], strict=True))
        effects = page["id"].map(lambda identifier, rejected=rejected: rejected.get(identifier, Reason.UNKNOWN_USER))
        for reason, rows in page.groupby(effects.fillna("")):
            code = str(reason)
            state = State.HELD if code == Reason.UNKNOWN_USER else State.REJECTED if code else State.READY
            _add(states, state, code or None, rows)
    return DryRun(tally=tally, states=states, first_ready=ledger.first_ready)


def _add(states: States, state: State, reason: str | None, rows: pd.DataFrame) -> None:
    key = (str(state), reason)
    states[key] = states.get(key, Amount()) + Amount.of(rows["value"])


def preview(event: Event, customer_id: str) -> dict[str, Any]:
    """The payload of an event for people, its user ID shortened."""
    payload: dict[str, Any] = json.loads(event.body(customer_id))
    return payload | {"userId": shortened(event.user_id)}
