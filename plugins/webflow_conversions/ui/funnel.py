"""The way of a run's rows in five steps, and why the others did not go it; both add up to what was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from webflow_conversions.ledger.overview import SourceExtraction
from webflow_conversions.pipeline.reconciliation import BESIDE
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import UNIDENTIFIED, State, explain, last_step

STEPS = ("read", "in_window", "known", "sent", "accepted")

_ORDER = ("missing", State.REJECTED, State.EXPIRED, State.WITHDRAWN, State.HELD, State.SENDING, State.READY, State.FUTURE, "")

NOT_OF_THE_LEDGER = {
    "duplicates": (
        "The source returned the conversion more than once, each time with the same content; it counts once.",
        "Nothing; if there are many, look at the joins of the source's query.",
    ),
    "conflicting": (
        "Another row with the same conversion ID and event name says something else; that one stands.",
        "Return an ID that is unique in the source: an order number, not a name or a customer.",
    ),
    "outside": (
        "The row is due, but lies outside the window of this run; it was left alone.",
        "Nothing: the run of the whole 2 days takes it.",
    ),
    "too_old": (
        "The row is older than 30 days; it was counted, and no more.",
        "Let the query return the window that it is given.",
    ),
    "future": (
        "The conversion is dated after now.",
        "Nothing: it goes out when its time has come. If it should have come, check the time zone of the source.",
    ),
    "ready": (
        "The conversion can go out, and has not yet.",
        "Nothing while a run is sending; otherwise start a run. A rehearsal sends nothing.",
    ),
    "sending": ("A request for it is out, or its answer was lost.", "Nothing while a run is sending; then see what is in doubt."),
    "missing": ("The ledger no longer has the conversion.", "See the problems of the run."),
}
"""A sentence and a remedy for what is neither accepted nor has a reason of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """A source's rows on their way; each step is a part of the one before it. ``at``: the moment of these data.

    ``ready`` is no step: those that could go out and have not, which is what a rehearsal would send.

    All but ``read`` are None while the run is too large to be counted on its way.
    """

    source: str
    at: datetime
    read: Amount
    in_window: Amount | None = None
    known: Amount | None = None
    ready: Amount | None = None
    sent: Amount | None = None
    accepted: Amount | None = None

    @property
    def is_counted(self) -> bool:
        """Whether it is known how its rows fare."""
        return self.accepted is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """Rows of a run that were not accepted: how many, why, and what somebody can do about it.

    ``reason`` is a code of the ledger, or what became of rows that have none. ``state`` is empty for rows without a
    conversion in the ledger.
    """

    state: str
    reason: str
    amount: Amount
    by_source: Mapping[str, Amount]
    meaning: str
    remedy: str


def funnel(extraction: SourceExtraction) -> Funnel:
    """The steps of a source. *In the window* is what is valid and of the last 2 days, *known* has a user that can be sent."""
    if extraction.states is None:
        return Funnel(source=extraction.source, at=extraction.at, read=extraction.read)
    in_window, known, ready, sent, accepted = Amount(), Amount(), Amount(), Amount(), Amount()
    for (state, reason), amount in extraction.states.items():
        ready += amount if state == State.READY else Amount()
        step = last_step(state, reason)
        in_window += amount if step >= 1 else Amount()
        known += amount if step >= 2 else Amount()
        sent += amount if step >= 3 else Amount()
        accepted += amount if step >= 4 else Amount()
    return Funnel(
        source=extraction.source,
        at=extraction.at,
        read=extraction.read,
        in_window=in_window,
        known=known,
        ready=ready,
        sent=sent,
        accepted=accepted,
    )


def total(funnels: Sequence[Funnel]) -> Funnel | None:
    """All sources together; None for no source. What is not counted of one is not of all."""
    if not funnels:
        return None
    counted = (*STEPS, "ready") if all(one.is_counted for one in funnels) else STEPS[:1]
    sums = {name: sum((getattr(one, name) for one in funnels), Amount()) for name in counted}
    return Funnel(source="", at=min(one.at for one in funnels), **sums)


def reasons(extractions: Iterable[SourceExtraction]) -> list[ReasonCount]:
    """Why the rows that were read are not accepted: first what is lost, then what waits, then what got no conversion."""
    found: dict[tuple[str, str], dict[str, Amount]] = {}
    for extraction in extractions:
        apart = {name: getattr(extraction, name) for name in BESIDE}
        for code, amount in apart.items():
            if amount.rows:
                found.setdefault(("", code), {})[extraction.source] = amount
        for (state, reason), amount in (extraction.states or {}).items():
            if state != State.ACCEPTED:
                found.setdefault((state, reason or state), {})[extraction.source] = amount
    counted = [_why(state, reason, by_source) for (state, reason), by_source in found.items()]
    return sorted(counted, key=lambda one: (_ORDER.index(one.state), -one.amount.rows, one.reason))


def match_rate(states: Mapping[tuple[str, str | None], Amount]) -> float | None:
    """The share of the valid conversions of the last 2 days whose user is known; None where there are none.

    Withdrawn ones are left out: their reason does not tell whether they had a user.
    """
    known = unknown = 0
    for (state, reason), amount in states.items():
        if state != State.WITHDRAWN and last_step(state, reason) >= 1:
            if reason in UNIDENTIFIED:
                unknown += amount.rows
            else:
                known += amount.rows
    return known / (known + unknown) if known + unknown else None


def explained(state: str, reason: str) -> tuple[str, str]:
    """A sentence for what holds a conversion, and one for what to do; of a reason, else of a state."""
    try:
        explanation = explain(reason)
    except KeyError:
        return NOT_OF_THE_LEDGER.get(reason or state, ("", ""))
    return explanation.meaning, explanation.remedy


def _why(state: str, reason: str, by_source: Mapping[str, Amount]) -> ReasonCount:
    meaning, remedy = explained(state, reason)
    return ReasonCount(
        state=state,
        reason=reason,
        amount=sum(by_source.values(), Amount()),
        by_source=by_source,
        meaning=meaning,
        remedy=remedy,
    )
