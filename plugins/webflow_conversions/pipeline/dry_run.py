"""A dry run of a source: all but the sending. It reads, judges, and shows the result; nothing of it is kept.

What the ledger knows already is a :class:`DryRunLedger`'s to say; :class:`WithoutLedger` knows nothing, so that a preview needs
no ledger. Both fill a :class:`PreviewTable`, of which the result is a summary.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

import pandas as pd

from webflow_conversions.errors import Unavailable
from webflow_conversions.pipeline.attribution import AttributionLedger, Credit, attribute
from webflow_conversions.pipeline.extraction import Met, extract
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.identification import LOOKED_UP, Returned, may_withdraw
from webflow_conversions.pipeline.preview import EXAMPLES, PAYLOADS, Credited, Outcome, Preview, payload
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceRows
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.event import Event
from webflow_conversions.rules.source import SourceRules
from webflow_conversions.rules.states import Reason, State

PAGE_ROWS = 10_000


class DryRunLedger(Protocol):
    """The ledger's methods that a dry run calls."""

    def foresee(self, conversions: pd.DataFrame, now: datetime) -> pd.DataFrame:
        """What would become of judged conversions (``Evaluated``), in the form that :class:`PreviewTable` takes."""

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """The conversions that wait and are due, in pages, in the same form, with ``id``."""


class WithoutLedger:
    """A ledger in which nothing is: every conversion is new, and nothing waits.

    :param tell: is called with the number of conversions judged so far.
    """

    def __init__(self, tell: Callable[[int], object] = lambda _: None) -> None:
        self._tell = tell
        self._rows = 0

    def foresee(self, conversions: pd.DataFrame, now: datetime) -> pd.DataFrame:
        """The conversions as they were judged."""
        self._rows += len(conversions)
        self._tell(self._rows)
        recorded = conversions[conversions["beside"].isna()]
        said = {f"said_{name}": recorded[name] for name in ("action_timestamp_ms", "identity_key", "value", "detail")}
        return recorded.assign(**said, attempts_in_doubt=0)

    def waiting(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """Nothing."""
        return iter(())


class PreviewTable(AttributionLedger, Protocol):
    """A table of conversions, one row each, that a dry run fills: it is judged, summed up, and thrown away.

    Columns: ``action_id``, ``event_name``, ``conversion_id``, ``action_timestamp_ms``, ``value``, ``identity_key``,
    ``user_domain``, ``user_id``, ``state``, ``reason``, ``detail``, ``attempts_in_doubt``; and of what the source says ``rank``,
    ``alike``, ``said_action_timestamp_ms``, ``said_value``, ``said_identity_key``, ``said_detail``: of several source rows of one
    conversion, these decide which one stands (``rules/versions.py``).
    """

    def add(self, conversions: pd.DataFrame) -> Met:
        """Add what a chunk of the source foresees; a conversion that is there already stays, or gives way to the better row."""

    def see(self, action_ids: Sequence[str]) -> None:
        """Keep in mind what the source returned, whatever became of it."""

    def unseen(self, conversions: pd.DataFrame) -> pd.DataFrame:
        """Those of the conversions that the source did not return."""

    def add_unseen(self, conversions: pd.DataFrame) -> None:
        """Add conversions that the source did not return."""

    def outcomes(self, examples: int) -> list[Outcome]: ...

    def credited(self, examples: int) -> list[Credited]: ...

    def first_events(self, events: int) -> list[Event]:
        """The first events to be sent, those that expire first."""


def dry_run(
    run: Run,
    rules: SourceRules,
    source: SourceRows,
    users: KnownUsers,
    ledger: DryRunLedger,
    table: PreviewTable,
    clock: Callable[[], datetime],
    *,
    customer_id: str,
    credit: Credit | None = None,
    returns_all: bool = False,
    limits: Limits | None = None,
) -> Preview:
    """Read the source and show what the run would do, with what waits in the ledger and was not read again.

    :param table: an empty one; :param credit: None where the configuration has no visits.
    :param returns_all: whether the source promises every row of the window; ``limits`` say how much it may withdraw.
    :raises Unusable: if a query cannot work.
    :raises Unavailable: if the warehouse or the ledger went away.
    """
    tally = extract(run, rules, source, users, _Foreseeing(ledger, table), clock)
    now = clock()
    unseen = sum((Amount.of(table.unseen(page)["value"]) for page in ledger.waiting(now, PAGE_ROWS)), Amount())
    returned = Returned(read_rows=tally.read.rows, recorded_rows=tally.recorded.rows)
    is_withdrawn = returns_all and unseen.rows > 0 and may_withdraw(unseen, returned, limits)
    for page in map(table.unseen, ledger.waiting(now, PAGE_ROWS)):
        table.add_unseen(_withdrawn(page) if is_withdrawn else _identified(page, users))
    hints = _judge(credit, users, table, clock) if credit else []
    events = table.first_events(PAYLOADS)
    return Preview(
        source=rules.source,
        at=now,
        tally=tally,
        outcomes=table.outcomes(EXAMPLES),
        credited=table.credited(EXAMPLES) if credit else [],
        payloads=[payload(event, customer_id) for event in events],
        hints=[*([users.unreadable.sentence] if users.unreadable.sentence else []), *hints],
    )


class _Foreseeing:
    """The ledger as extraction sees it in a dry run."""

    def __init__(self, ledger: DryRunLedger, table: PreviewTable) -> None:
        self._ledger = ledger
        self._table = table

    def begin(self, now: datetime) -> None:
        """Do nothing."""

    def record(self, conversions: pd.DataFrame, now: datetime) -> Met:
        self._table.see(conversions["action_id"].tolist())
        return self._table.add(self._ledger.foresee(conversions, now))

    def end(self, tally: Tally, met: Met, now: datetime) -> None:
        """Do nothing: a dry run leaves no account of its extraction."""


def _identified(page: pd.DataFrame, users: KnownUsers) -> pd.DataFrame:
    """Waiting conversions with the user, and so the state, that they would have by now."""
    chosen = page.drop(columns=["user_domain", "user_id"]).merge(users.of(page[list(LOOKED_UP)]), on="id", how="left")
    chosen.loc[chosen["user_id"].isna() & chosen["reason"].isna(), "reason"] = Reason.UNKNOWN_USER
    is_held = chosen["reason"] == Reason.UNKNOWN_USER
    state = pd.Series(State.READY, index=chosen.index, dtype=object).mask(chosen["reason"].notna(), State.REJECTED)
    return chosen.assign(state=state.mask(is_held, State.HELD))


def _withdrawn(page: pd.DataFrame) -> pd.DataFrame:
    return page.assign(state=State.WITHDRAWN, reason=Reason.NO_LONGER_IN_SOURCE)


def _judge(credit: Credit, users: KnownUsers, table: PreviewTable, clock: Callable[[], datetime]) -> Sequence[str]:
    """Judge what would be sent; sentences about what looks wrong. No run waits for visits that cannot be read."""
    try:
        judged = attribute(users, credit, table, clock)
    except Unavailable as error:
        return [f"The visits could not be read, so not all is judged: {str(error).rstrip('.')}"]
    return [f"{judged.hint[0].upper()}{judged.hint[1:]}"] if judged.hint else []
