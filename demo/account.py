"""Compares the ledger with the simulator, conversion by conversion, and prints both as tables."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from demo.stage import CUSTOMER_ID, Stage

ACCEPTED = """
SELECT action_id, event_name, user_domain, user_id, action_timestamp_ms, value
FROM webflow.conversions
WHERE state = 'accepted'
"""

ENDS = """
SELECT source, state, reason, count(*) AS rows, coalesce(sum(value), 0) AS value
FROM webflow.conversions
GROUP BY source, state, reason
ORDER BY source, array_position(ARRAY['accepted', 'sending', 'ready', 'held', 'future', 'rejected', 'expired'], state), reason
"""

RUNS = "SELECT run_id, verdict, counts FROM webflow.runs ORDER BY id"

_SHOWN = 3


def tell(stage: Stage) -> list[str]:
    """Print the state of every conversion.

    :returns: a sentence for each problem.
    """
    (ledger,) = stage.ledger("SELECT to_regclass('webflow.conversions') IS NOT NULL AS is_there")
    if not ledger.is_there:
        return ["no run came as far as to make the ledger's tables"]
    _tell_runs(stage.ledger(RUNS))
    _tell_ends(stage.ledger(ENDS))
    summary = stage.simulator.summary()
    _tell_received(summary)
    accepted = stage.ledger(ACCEPTED)
    wrong = disagreements(accepted, stage.simulator.events(), CUSTOMER_ID)
    if not accepted:
        wrong.append("nothing was sent at all")
    if summary["malformed"]:
        wrong.append(f"the simulator refused {summary['malformed']:,} events as malformed")
    if not wrong:
        print(
            f"\nThe ledger and the simulator agree: {len(accepted):,} conversions, each received once, with the ledger's payload."
        )
    return wrong


def _tell_runs(runs: Sequence[Any]) -> None:
    print("\nWhat the runs read and sent\n")
    parts = ("read", "duplicates", "conflicting", "outside", "too_old", "recorded", "sent")
    rows = [
        (
            run.run_id.partition("__")[0],
            source,
            *(counts.get(part, {}).get("rows", 0) for part in parts),
            Decimal(counts.get("sent", {}).get("value", 0)),
        )
        for run in runs
        for source, counts in run.counts.get("sources", {}).items()
    ]
    titles = (
        "run",
        "source",
        "rows read",
        "duplicates",
        "conflicting",
        "outside",
        "over 30 days",
        "recorded",
        "sent",
        "value sent",
    )
    print(table(titles, rows))
    print("\nWhether each run did what it is for\n")
    findings = [
        (run.run_id.partition("__")[0], finding["level"], finding["sentence"])
        for run in runs
        for finding in (run.verdict or {}).get("findings", ()) or [{"level": "good", "sentence": "all that was due is accepted"}]
    ]
    print(table(("run", "verdict", "why"), findings))


def _tell_ends(ends: Iterable[Any]) -> None:
    print("\nHow every conversion ended, as the ledger has it\n")
    rows = [tuple(row) for row in ends]
    total = ("total", "", "", sum(row[-2] for row in rows), sum((row[-1] for row in rows), Decimal(0)))
    print(table(("source", "state", "reason", "conversions", "value"), [*rows, total]))


def _tell_received(summary: Mapping[str, Any]) -> None:
    print("\nWhat the Webflow simulator received\n")
    rows = [(name, of["events"], Decimal(of["value_sum"])) for name, of in sorted(summary["by_event_name"].items())]
    print(table(("event", "events", "value"), [*rows, ("total", summary["events"], Decimal(summary["value_sum"]))]))


def disagreements(accepted: Iterable[Any], events: Sequence[Mapping[str, Any]], customer_id: str) -> list[str]:
    """Compare the ledger with the simulator; a sentence for each kind of difference.

    :param accepted: the rows of :data:`ACCEPTED`.
    :param events: rows of the simulator's page of events.
    """
    sent = {row.action_id: _document(row, customer_id) for row in accepted}
    times = Counter(event["action_id"] for event in events)
    received = {event["action_id"]: json.loads(event["body"], parse_float=Decimal) for event in events}
    found = {
        "accepted in the ledger, but never received": sent.keys() - received.keys(),
        "received, but not accepted in the ledger": received.keys() - sent.keys(),
        "received with another payload than the ledger's": {
            name for name in sent.keys() & received.keys() if sent[name] != received[name]
        },
        "received more than once": {name for name, count in times.items() if count > 1},
        "received too old or from the future, so that Webflow may ignore it": {
            event["action_id"] for event in events if not event["counts"]
        },
    }
    return [f"{len(names):,} {what}: {some(names)}" for what, names in found.items() if names]


def _document(row: Any, customer_id: str) -> dict[str, Any]:
    """The event that the ledger's row was sent as (docs/webflow-api.md, The request)."""
    document = {
        "customerId": customer_id,
        "eventName": row.event_name,
        "userDomain": row.user_domain,
        "userId": row.user_id,
        "actionId": row.action_id,
        "actionTimestamp": row.action_timestamp_ms,
    }
    return document if row.value is None else {**document, "value": row.value}


def some(names: set[str]) -> str:
    """The first of the names, for a sentence."""
    return ", ".join(sorted(names)[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in plain text: numbers aligned right, money with two places."""
    cells = [list(map(str, titles)), *([_cell(value) for value in row] for row in rows)]
    is_number = [all(isinstance(row[column], int | Decimal) for row in rows) for column in range(len(titles))]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


def _cell(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else value or ""
