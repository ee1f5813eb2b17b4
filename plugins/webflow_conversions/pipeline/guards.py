"""Guards: reasons to stop a run before it sends, since nothing that was sent can be taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from webflow_conversions.rules.amounts import Amount

EARLIER_RUNS = 7
ENOUGH_RUNS = 3
"""Least number of earlier runs that a guard compares with."""
ENOUGH_CONVERSIONS = 10
"""Least number of conversions for an average value."""
ENOUGH_MISSING = 10
"""Least number of conversions that went missing, or lost their user, for a share of them to say something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The configuration's ``guards``; None switches one off.

    ``min_rows``: with fewer conversions, ``rejected_share``, ``volume_factor`` and the value in all stop nothing.
    ``conflicting_share`` and ``fall_factor`` never do: the verdict on the run looks at them, and at ``rejected_share`` whatever
    the number of conversions (``pipeline/judgement.py``).
    """

    volume_factor: float | None
    value_factor: float | None
    rejected_share: float | None
    min_rows: int
    empty_source: bool
    withdrawn_share: float | None = None
    lost_user_share: float | None = None
    conflicting_share: float | None = None
    fall_factor: float | None = None
    fall: str = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """A source in this run: rows read (None if unreadable), recorded rows, rejected ones among them, and the amount to send.

    ``rejected_rows``: without those of which attribution alone says that they count for nothing (``SKIPPED``).
    ``missing``: waiting conversions that a source which promises all rows did not return, and that were not withdrawn.
    ``had_user``: conversions with a user that were looked up again, ``lost_user``: those of them that have none any more.
    """

    read_rows: int | None
    recorded_rows: int
    rejected_rows: int
    to_send: Amount
    missing: Amount = field(default_factory=Amount)
    had_user: int = 0
    lost_user: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A source in an earlier run; ``read_rows`` is None if it was not read, or not over the whole window."""

    read_rows: int | None
    sent: Amount


def objections(
    now: Mapping[str, SourceCounts], earlier: Mapping[str, Sequence[Earlier]], limits: Limits, *, whole_window: bool
) -> list[str]:
    """Reasons not to send, one sentence with figures each; none if it looks like its predecessors.

    The usual amount is the largest of the last runs, since a sweep an hour after the night's run sends little.

    :param whole_window: whether the run reads the whole 2 days; a run for one date may well find nothing.
    """
    found: list[str] = []
    for source, counts in now.items():
        runs = earlier.get(source, ())
        rows_read = [run.read_rows for run in runs if run.read_rows is not None]
        if limits.empty_source and whole_window and counts.read_rows == 0 and len(rows_read) >= ENOUGH_RUNS and all(rows_read):
            found.append(
                f"{source} returned no rows at all, and in each of the last {len(rows_read)} runs it did (guards.empty_source)"
            )
        share = counts.rejected_rows / counts.recorded_rows if counts.recorded_rows else 0
        if limits.rejected_share is not None and counts.recorded_rows >= limits.min_rows and share > limits.rejected_share:
            found.append(
                f"{counts.rejected_rows:,} of {counts.recorded_rows:,} conversions of {source} are rejected ({share:.0%}), "
                f"more than {limits.rejected_share:.0%} (guards.rejected_share)"
            )
        if counts.missing.rows:
            what = "no rows at all" if not counts.read_rows else f"{counts.recorded_rows:,} conversions"
            found.append(
                f"{source} promises every row of the window (returns_all) and returned {what}: {counts.missing} that wait are "
                "not among them, and were not withdrawn (guards.withdrawn_share)"
            )
        lost_share = counts.lost_user / counts.had_user if counts.had_user else 0
        if limits.lost_user_share is not None and counts.lost_user >= ENOUGH_MISSING and lost_share > limits.lost_user_share:
            found.append(
                f"{counts.lost_user:,} of {counts.had_user:,} conversions of {source} that had a known user have none any more "
                f"({lost_share:.0%}): is the table of known users whole? (guards.lost_user_share)"
            )
        if len(runs) >= ENOUGH_RUNS:
            found += _out_of_proportion(source, counts.to_send, runs, limits)
    return found


def _out_of_proportion(source: str, to_send: Amount, runs: Sequence[Earlier], limits: Limits) -> list[str]:
    """More conversions, more money, or more money in each than is usual: cents taken for dollars show in a few, too."""
    found: list[str] = []
    of_runs = f"of the last {len(runs)} runs"
    most_rows = max(run.sent.rows for run in runs)
    if (
        limits.volume_factor is not None
        and limits.min_rows <= to_send.rows
        and 0 < most_rows * limits.volume_factor < to_send.rows
    ):
        found.append(
            f"{source} has {to_send.rows:,} conversions to send, more than {limits.volume_factor:g} times the {most_rows:,} "
            f"of its fullest {of_runs} (guards.volume_factor)"
        )
    if limits.value_factor is None:
        return found
    factor = Decimal(str(limits.value_factor))
    most_value, most_each = max(run.sent.value for run in runs), max(_value_of_each(run.sent) for run in runs)
    if limits.min_rows <= to_send.rows and 0 < most_value * factor < to_send.value:
        found.append(
            f"{source} has a value of {to_send.value:,.2f} to send, more than {factor:g} times the {most_value:,.2f} "
            f"of its richest {of_runs} (guards.value_factor)"
        )
    elif 0 < most_each * factor < _value_of_each(to_send):
        found.append(
            f"{source} has conversions to send that are worth {_value_of_each(to_send):,.2f} each, more than {factor:g} times "
            f"the {most_each:,.2f} of its dearest {of_runs} (guards.value_factor)"
        )
    return found


def _value_of_each(amount: Amount) -> Decimal:
    """The average value; 0 where there are too few conversions to speak of one."""
    return amount.value / amount.rows if amount.rows >= ENOUGH_CONVERSIONS else Decimal(0)
