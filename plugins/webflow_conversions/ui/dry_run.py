"""The result of a dry run: what a run would do, by source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.ledger.dry_run import DryRunRecord, DryRuns
from webflow_conversions.pipeline.preview import ORDER, Preview
from webflow_conversions.pipeline.reconciliation import BESIDE
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.states import State
from webflow_conversions.ui.dag import DAG_ID
from webflow_conversions.ui.funnel import NOT_OF_THE_LEDGER
from webflow_conversions.ui.ledger import reading

LABELS = {
    State.READY: "would be sent",
    State.HELD: "held",
    State.FUTURE: "in the future",
    State.REJECTED: "rejected",
    State.EXPIRED: "expired",
    State.WITHDRAWN: "withdrawn",
    State.SENDING: "in flight or in doubt",
    State.ACCEPTED: "sent already",
}
"""What a state is called of a conversion that a dry run showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Rows that are no conversions of the run: ``name`` is duplicates, conflicting, outside (the window) or too_old."""

    name: str
    amount: Amount
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceResult:
    """A source of a dry run. ``preview`` is None until it was read; ``failure`` is the sentence of its task, where it failed.

    ``states`` are the amounts of the preview by state, ``beside`` the rows without a conversion.
    """

    source: str
    preview: Preview | None
    failure: str | None
    states: Mapping[State, Amount]
    beside: Sequence[Beside]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunResult:
    """A dry run as of ``at``. ``states`` are those that any source has; ``failures`` are of tasks that read no source.

    ``number`` is the ledger's, ``run_id`` Airflow's name. ``is_kept``: results are removed after a day.
    """

    at: datetime
    number: int
    run_id: str
    window_start: datetime
    window_end: datetime
    started_at: datetime
    ended_at: datetime | None
    currency: str | None
    is_kept: bool
    sources: Sequence[SourceResult]
    states: Sequence[State]
    failures: Sequence[str]


def dry_run_result(number: int) -> DryRunResult | None:
    """The result of a dry run; None if the ledger has no dry run of this number."""
    now = Clock().now()
    with reading() as session:
        found = DryRuns(session).find(DAG_ID, number, now)
    return None if found is None else _result(found, now)


def _result(record: DryRunRecord, now: datetime) -> DryRunResult:
    failures = {failure.source: failure.sentence for failure in record.failures if failure.source}
    sources = [_source(name, record.previews.get(name), failures.get(name)) for name in record.sources]
    return DryRunResult(
        at=now,
        number=record.number,
        run_id=record.run_id,
        window_start=record.window_start,
        window_end=record.window_end,
        started_at=record.started_at,
        ended_at=record.ended_at,
        currency=record.currency,
        is_kept=record.is_kept,
        sources=sources,
        states=[state for state in ORDER if any(state in one.states for one in sources)],
        failures=[failure.cause for failure in record.failures if not failure.source and not failure.is_verdict],
    )


def _source(name: str, preview: Preview | None, failure: str | None) -> SourceResult:
    states: dict[State, Amount] = {}
    for outcome in preview.outcomes if preview else ():
        state = State(outcome.state)
        states[state] = states.get(state, Amount()) + outcome.amount
    tally = preview.tally if preview else Tally()
    beside = [
        Beside(name=kind, amount=amount, meaning=NOT_OF_THE_LEDGER[kind][0], remedy=NOT_OF_THE_LEDGER[kind][1])
        for kind in BESIDE
        if (amount := getattr(tally, kind)).rows
    ]
    return SourceResult(source=name, preview=preview, failure=failure, states=states, beside=beside)
