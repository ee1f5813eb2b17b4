"""Notices: tonight's import will be missed, a run failed, runs succeed again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from webflow_conversions.delivery.forecast import Forecast
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import next_import

_UNKNOWN = "An unknown number of conversions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A subject line and a few sentences."""

    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The last run of a night, as the ledger records it; ``unread_sources`` are those that no run of the night has read.

    ``forecasts`` are the last ones of its pushes, by destination.
    """

    is_ended: bool
    problems: Sequence[str]
    unread_sources: Sequence[str]
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What is ready, by its last trouble, and what is in doubt. ``run`` is None if plan opened none this night."""

    run: RunRecord | None
    ready: Mapping[str | None, Amount] = field(default_factory=dict)
    in_doubt: Amount = field(default_factory=Amount)


def deadline_notice(stake: Stake, now: datetime) -> Notice | None:
    """The warning before the import; None where nothing is at stake."""
    ready = sum(stake.ready.values(), Amount())
    late = _late(stake.run, ready, now)
    unread = list(stake.run.unread_sources) if stake.run else []
    if not (late.rows or unread or stake.run is None):
        return None
    import_at = next_import(now)
    head = str(late) if late.rows else _UNKNOWN
    sentences = [
        f"At {now.astimezone(UTC):%H:%M} UTC, {head} will miss Webflow's import at {import_at:%H:%M} UTC.",
        *_why(stake, unread),
        "What is ready stays ready: it goes out with the next run as long as it is not older than 2 days.",
    ]
    return Notice(subject=f"Webflow: {head} will miss tonight's import", message=" ".join(sentences))


def blind_notice(why: str, now: datetime) -> Notice:
    """The warning before the import where the ledger cannot be asked."""
    return Notice(
        subject=f"Webflow: {_UNKNOWN} will miss tonight's import",
        message=f"At {now.astimezone(UTC):%H:%M} UTC nobody can say what is out: {why}",
    )


def failure_notice(run_id: str, problems: Sequence[str], failed_tasks: Sequence[str]) -> Notice:
    """The notice of the first run that failed."""
    tasks = ", ".join(failed_tasks) or "a task"
    why = f"{'; '.join(problems)}." if problems else f"{tasks} failed: the last line of its log says why."
    return Notice(
        subject=f"Webflow: {run_id} failed",
        message=f"{why} What is ready goes out with the next run as long as it is not older than 2 days. "
        "The next notice comes when a run is well again.",
    )


def recovery_notice(run_id: str, broken_since: str) -> Notice:
    """The notice of the first run that succeeded after a failed one."""
    return Notice(
        subject=f"Webflow: conversions go out again since {run_id}",
        message=f"{run_id} sent all that was due. Failed since: {broken_since}.",
    )


def _late(run: RunRecord | None, ready: Amount, now: datetime) -> Amount:
    """The conversions that miss the import: the forecast ones, all that waited if a forecast is stale, all ready without one."""
    forecasts = run.forecasts.values() if run and not run.is_ended else ()
    if not forecasts:
        return ready
    return min(ready, sum((_late_by(forecast, now) for forecast in forecasts), Amount()), key=lambda amount: amount.rows)


def _late_by(forecast: Forecast, now: datetime) -> Amount:
    return forecast.waiting.late if forecast.stands(now) else forecast.waiting.total


def _why(stake: Stake, unread: Sequence[str]) -> list[str]:
    if stake.run is None:
        return ["Tonight's run did not come past its plan task: the last line of that task's log says why."]
    found = [f"{'; '.join(stake.run.problems)}."] if stake.run.problems else []
    if unread and not stake.run.problems:
        found.append(f"Not read so far: {', '.join(unread)}.")
    troubles = [f"{trouble} ({amount})" for trouble, amount in stake.ready.items() if trouble]
    if troubles and not stake.run.problems:
        found.append(f"Last trouble: {'; '.join(troubles)}.")
    if not found:
        found.append("The last run has ended." if stake.run.is_ended else "The run is still going.")
    if stake.in_doubt.rows:
        found.append(f"In doubt, since the answer was lost: {stake.in_doubt}.")
    return found
