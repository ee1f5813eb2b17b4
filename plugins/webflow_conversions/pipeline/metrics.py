"""Gauges of a run for Airflow's metrics, sent once at the end. ``docs/metrics.md`` lists them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from webflow_conversions.pipeline.causes import Level
from webflow_conversions.pipeline.reconciliation import SourceAccount
from webflow_conversions.pipeline.verdict import Verdict
from webflow_conversions.rules.states import EXPLANATIONS, State
from webflow_conversions.rules.window import next_import

PREFIX = "webflow_conversions"

NAMES: Mapping[str, str] = {
    "level": "The verdict on the run: 0 good, 1 good with a note, 2 needs somebody, 3 failed; of each source.",
    "read": "Rows that the source's query returned.",
    "accepted": "Conversions that this run sent and Webflow acknowledged.",
    "accepted_value": "Their money.",
    "rejected": "Conversions of this run that are rejected, by reason.",
    "held": "Conversions of this run without a known user so far.",
    "ready": "Conversions that should have gone out and did not; 0 in a rehearsal.",
    "would_send": "Conversions that a rehearsal would have sent; 0 in a live run.",
    "in_doubt": "Conversions whose answer was lost or leaves it open.",
    "sent_again": "Conversions that went out more than once.",
    "seconds_to_import": "From the end of the run to Webflow's next import.",
    "events_per_second": "Accepted conversions a second of one push, by destination and worker.",
}
"""Each metric without its prefix, and what it counts."""


_LEVELS = list(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A gauge; ``tags`` are strings."""

    name: str
    value: float
    tags: Mapping[str, str]

    @property
    def name_with_tags(self) -> str:
        """The name followed by the values of the tags, for a backend without tags; as Airflow makes its own legacy names."""
        return ".".join((self.name, *(value.replace(".", "__") for value in self.tags.values())))


def run_metrics(accounts: Mapping[str, SourceAccount], verdict: Verdict, now: datetime) -> Iterator[Metric]:
    """The metrics of a run that ends at ``now``."""
    for source, account in accounts.items():
        tags = {"source": source}
        yield _metric("level", _LEVELS.index(verdict.of(source)), tags)
        if account.tally is not None:
            yield _metric("read", account.tally.read.rows, tags)
        yield _metric("accepted", account.sent.rows, tags)
        yield _metric("accepted_value", float(account.sent.value), tags)
        # A gauge keeps its last value, so reasons without a row are sent as 0.
        rejected = {str(reason): 0 for reason, known in EXPLANATIONS.items() if known.state is State.REJECTED}
        rejected |= {str(reason): amount.rows for (state, reason), amount in account.states.items() if state == State.REJECTED}
        for reason, rows in rejected.items():
            yield _metric("rejected", rows, tags | {"reason": reason})
        yield _metric("held", sum(amount.rows for (state, _), amount in account.states.items() if state == State.HELD), tags)
        yield _metric("ready", sum(amount.rows for amount in account.ready.values()), tags)
        yield _metric("would_send", account.would_send.rows, tags)
        yield _metric("in_doubt", account.in_doubt.rows, tags)
        yield _metric("sent_again", account.sent_again, tags)
    yield _metric("seconds_to_import", (next_import(now) - now).total_seconds(), {})


def push_metrics(destination: str, worker: int, accepted: int, seconds: float) -> Iterator[Metric]:
    """The metrics of a push that took ``seconds``."""
    yield _metric("events_per_second", accepted / max(seconds, 0.001), {"destination": destination, "worker": str(worker)})


def _metric(name: str, value: float, tags: Mapping[str, str]) -> Metric:
    assert name in NAMES, name  # noqa: S101 - a name without its sentence is a mistake of ours
    return Metric(name=f"{PREFIX}.{name}", value=value, tags=tags)
