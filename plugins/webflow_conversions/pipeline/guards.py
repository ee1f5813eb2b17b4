"""What makes a run look wrong before it sends, since nothing that was sent can be taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webflow_conversions.rules.amounts import Amount

EARLIER_RUNS = 7
ENOUGH_RUNS = 3
"""Fewer runs than this say nothing about what is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The configuration's ``guards``; None switches one off. ``min_rows``: with fewer, shares and factors say nothing."""

    volume_factor: float | None
    value_factor: float | None
    rejected_share: float | None
    min_rows: int
    empty_source: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFigures:
    """A source in this run: rows read (None if it could not be read), recorded and of these rejected, and what is to be sent."""

    read_rows: int | None
    recorded_rows: int
    rejected_rows: int
    to_send: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A source in an earlier run."""

    read_rows: int
    sent: Amount


def objections(
    now: Mapping[str, SourceFigures], earlier: Mapping[str, Sequence[Earlier]], limits: Limits, *, whole_window: bool
) -> list[str]:
    """Why the run should not send, with the figures, one sentence each; none if it looks like its predecessors.

    What is usual is the most of the last runs, since a sweep an hour after the night's run sends little.

    :param whole_window: whether the run reads the whole 2 days; a run for one date may well find nothing.
    """
    found: list[str] = []
    for source, figures in now.items():
        runs = earlier.get(source, ())
        if limits.empty_source and whole_window and figures.read_rows == 0 and _always_had_rows(runs):
            found.append(
                f"{source} returned no rows at all, and in each of the last {len(runs)} runs it did (guards.empty_source)"
            )
        share = figures.rejected_rows / figures.recorded_rows if figures.recorded_rows else 0
        if limits.rejected_share is not None and figures.recorded_rows >= limits.min_rows and share > limits.rejected_share:
            found.append(
                f"{figures.rejected_rows:,} of {figures.recorded_rows:,} conversions of {source} are rejected ({share:.0%}), "
                f"more than {limits.rejected_share:.0%} (guards.rejected_share)"
            )
        if len(runs) < ENOUGH_RUNS or figures.to_send.rows < limits.min_rows:
            continue
        most_rows, most_value = max(run.sent.rows for run in runs), max(run.sent.value for run in runs)
        if limits.volume_factor is not None and 0 < most_rows * limits.volume_factor < figures.to_send.rows:
            found.append(
                f"{source} has {figures.to_send.rows:,} conversions to send, more than {limits.volume_factor:g} times the "
                f"{most_rows:,} of its fullest of the last {len(runs)} runs (guards.volume_factor)"
            )
        if limits.value_factor is not None and 0 < float(most_value) * limits.value_factor < figures.to_send.value:
            found.append(
                f"{source} has a value of {figures.to_send.value:,.2f} to send, more than {limits.value_factor:g} times the "
                f"{most_value:,.2f} of its richest of the last {len(runs)} runs (guards.value_factor)"
            )
    return found


def _always_had_rows(runs: Sequence[Earlier]) -> bool:
    return len(runs) >= ENOUGH_RUNS and all(run.read_rows > 0 for run in runs)
