"""Compares what the ledger foresees with what the simulator's nightly import credits, and prints both as tables.

The predictions are the ledger's, the credits the simulator's; they share no code.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from demo.account import some, table
from demo.simulator import SimulatorProcess
from demo.simulator.nightly_import import Reading, next_midnight_ms
from demo.stage import Stage

FORESEEN = """
SELECT source, action_id, value, attribution, coalesce(visit -> 'readings', '[]') AS readings
FROM webflow.conversions
WHERE state = 'accepted'
ORDER BY source, array_position(ARRAY['will_count', 'may_count', 'will_not_count', 'unknown'], attribution), id
"""

_OWN = Reading.STRICT
"""The reading by which the simulator imports unless it is told otherwise."""


def tell(stage: Stage) -> list[str]:
    """Let the simulator import what it received, as it will at midnight, and print what was foreseen beside what it credits.

    :returns: a sentence for each kind of difference.
    """
    credited = imports(stage.simulator)
    foreseen = stage.ledger(FORESEEN)
    print("\nWhat was foreseen of the accepted conversions, and what the import credited\n")
    print(
        table(("source", "foreseen", "conversions", "value", "credited", "value credited"), _by_verdict(foreseen, credited[_OWN]))
    )
    print("\nThe same under each reading of Webflow's rule, without what is unknown\n")
    print(table(("reading", "foreseen", "value", "credited", "value credited"), _by_reading(foreseen, credited)))
    wrong = differences(foreseen, credited)
    if not wrong:
        print(f"\nThe predictions and the import agree: {summary(foreseen, credited[_OWN])}.")
    return wrong


def imports(simulator: SimulatorProcess) -> dict[Reading, set[str]]:
    """Run the import of the coming midnight under each reading, the simulator's own last.

    :returns: the action IDs that each credits.
    """
    midnight = next_midnight_ms(int(time.time() * 1000))
    credited: dict[Reading, set[str]] = {}
    for reading in (Reading.LENIENT, Reading.WIDE, _OWN):
        simulator.clear_credits()
        simulator.run_import(at_ms=midnight, reading=reading)
        credited[reading] = {credit["action_id"] for credit in simulator.credits()}
    return credited


def differences(foreseen: Sequence[Any], credited: Mapping[Reading, Collection[str]]) -> list[str]:
    """Compare the predictions with the import; a sentence for each kind of difference.

    :param foreseen: the rows of :data:`FORESEEN`.
    """
    found = {
        "accepted, but not judged": {row.action_id for row in foreseen if row.attribution is None},
        "credited, but not accepted in the ledger": set().union(*credited.values()) - {row.action_id for row in foreseen},
    }
    for reading, imported in credited.items():
        known = [(row.action_id, _is_foreseen(row, reading)) for row in foreseen if _is_known(row)]
        found[f"foreseen, but not credited by the import (reading: {reading})"] = {
            name for name, is_foreseen in known if is_foreseen and name not in imported
        }
        found[f"credited by the import, but not foreseen (reading: {reading})"] = {
            name for name, is_foreseen in known if not is_foreseen and name in imported
        }
    wrong = [f"{len(names):,} {what}: {some(names)}" for what, names in found.items() if names]
    if not any(row.attribution == "will_count" for row in foreseen):
        wrong.append("nothing will count, so the import shows nothing")
    return wrong


def summary(foreseen: Sequence[Any], imported: Collection[str]) -> str:
    """How many were sent, will count and were credited, in one sentence without a full stop."""
    told = {
        verdict: [row for row in foreseen if row.attribution == verdict] for verdict in ("will_count", "may_count", "unknown")
    }
    credited = {verdict: sum(row.action_id in imported for row in rows) for verdict, rows in told.items()}
    return (
        f"{len(foreseen):,} sent, {len(told['will_count']):,} will count, the import credited these {credited['will_count']:,}, "
        f"{credited['may_count']:,} of the {len(told['may_count']):,} that may count, and {credited['unknown']:,} of "
        f"{len(told['unknown']):,} unknown"
    )


def _by_verdict(foreseen: Sequence[Any], imported: Collection[str]) -> list[tuple[Any, ...]]:
    kinds = dict.fromkeys((row.source, row.attribution) for row in foreseen)
    rows = [
        (
            source,
            (verdict or "not judged").replace("_", " "),
            *_sums([row for row in foreseen if (row.source, row.attribution) == (source, verdict)], imported),
        )
        for source, verdict in kinds
    ]
    return [*rows, ("total", "", *_sums(foreseen, imported))]


def _by_reading(foreseen: Sequence[Any], credited: Mapping[Reading, Collection[str]]) -> list[tuple[Any, ...]]:
    known = [row for row in foreseen if _is_known(row)]
    return [
        (
            reading.value,
            *_amount(row for row in known if _is_foreseen(row, reading)),
            *_amount(row for row in known if row.action_id in credited[reading]),
        )
        for reading in Reading
    ]


def _is_known(row: Any) -> bool:
    return row.attribution not in (None, "unknown")


def _is_foreseen(row: Any, reading: Reading) -> bool:
    """Whether the verdict says that an import by this reading credits the conversion."""
    return row.attribution == "will_count" or (row.attribution == "may_count" and reading in row.readings)


def _sums(rows: Sequence[Any], imported: Collection[str]) -> tuple[int, Decimal, int, Decimal]:
    return (*_amount(rows), *_amount(row for row in rows if row.action_id in imported))


def _amount(rows: Iterable[Any]) -> tuple[int, Decimal]:
    values = [row.value or Decimal(0) for row in rows]
    return len(values), sum(values, Decimal(0))
