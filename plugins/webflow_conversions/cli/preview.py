"""``webflow-conversions preview``: what a run would do with the rows of the warehouse, without a ledger and without sending."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webflow_conversions.cli.options import config_option, date_option, destination_of, json_option, project_of, window_of
from webflow_conversions.cli.output import Output, progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from webflow_conversions.pipeline.preview import Credited, Outcome, Preview


@click.command()
@config_option
@click.option("--source", "sources", multiple=True, metavar="NAME", help="This source only. May be repeated. Default: all.")
@date_option
@click.option("--rows", "most_rows", type=click.IntRange(min=1), metavar="N", help="Read the first N rows of each source only.")
@json_option
def preview(config_path: Path | None, sources: tuple[str, ...], day: str | None, most_rows: int | None, as_json: bool) -> None:
    """Show what a run would send, hold and reject.

    Reads the warehouse for real, judges each row, looks up users, foresees what Webflow will credit, and shows examples and the
    first payloads. Writes nothing, sends nothing, and needs no ledger: what earlier runs sent already is not known to it.
    """
    from webflow_conversions.pipeline.dry_run import WithoutLedger
    from webflow_conversions.pipeline.run import Run

    output, now, project = Output(as_json=as_json), datetime.now(UTC), project_of(config_path)
    names = project.config.chosen(sources)
    run = Run(id=0, run_id="preview", window=window_of(day, now), sources=names, dry_run=True, force=False)
    documents = []
    for name in names:
        source = project.config.source(name)
        url, customer_id = destination_of(source.webflow_conn_id)
        with progress(f"{name}: reading") as tell:
            ledger = WithoutLedger(partial(_tell_judged, tell, name))
            shown = project.preview(source, run, ledger, lambda: datetime.now(UTC), customer_id=customer_id, most_rows=most_rows)
        _show(output, shown, url, customer_id)
        documents.append({**shown.to_json(), "url": url, "customer_id": customer_id})
    output.line("Nothing was sent and nothing was written. What earlier runs sent is not known to this command.")
    output.document({"window": [run.window.start.isoformat(), run.window.end.isoformat()], "sources": documents})


def _tell_judged(tell: Callable[[str], None], name: str, conversions: int) -> None:
    tell(f"{name}: {conversions:,} conversions")


def _show(output: Output, shown: Preview, url: str | None, customer_id: str) -> None:
    from webflow_conversions.pipeline.reconciliation import BESIDE

    where = f"to {url}, customer ID {customer_id}" if url else "to a destination whose connection is not there yet"
    output.line(f"{shown.source}: {shown.tally.read.rows:,} rows read, {shown.to_send} would be sent {where}", style="bold")
    beside = [
        ("–", name.replace("_", " "), amount.rows, amount.value, "", "")
        for name in BESIDE
        if (amount := getattr(shown.tally, name)).rows
    ]
    columns = ("state", "reason", "conversions", "value", "what it means", "such as")
    output.table(columns, [*map(_outcome, shown.outcomes), *beside])
    if shown.credited:
        output.line()
        output.table(("will it count", *columns[1:]), map(_credited, shown.credited))
    if shown.payloads:
        output.line()
        output.line("The first payloads, user IDs shortened:")
    for payload in shown.payloads:
        output.line(json.dumps(payload, ensure_ascii=False))
    for hint in shown.hints:
        output.line(f"{hint}.", style="yellow")
    output.line()


def _outcome(one: Outcome) -> tuple[Any, ...]:
    return one.state, one.reason or "", one.amount.rows, one.amount.value, one.meaning, _examples(one)


def _credited(one: Credited) -> tuple[Any, ...]:
    return one.attribution or "not judged", one.reason or "", one.amount.rows, one.amount.value, one.meaning, _examples(one)


def _examples(one: Outcome | Credited) -> str:
    """Some of the conversions; with what is wrong, one a line."""
    if any(example.detail for example in one.examples):
        return "\n".join(f"{example.conversion_id or '(no ID)'}: {example.detail}" for example in one.examples)
    return ", ".join(example.conversion_id for example in one.examples if example.conversion_id is not None)
