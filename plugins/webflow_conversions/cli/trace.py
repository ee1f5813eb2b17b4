"""``webflow-conversions trace``: one conversion, from its row in the warehouse to the event that goes out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webflow_conversions.cli.options import (
    config_option,
    date_option,
    destination_of,
    is_terminal,
    json_option,
    project_of,
    window_of,
)
from webflow_conversions.cli.output import Output, progress, standing
from webflow_conversions.errors import Unavailable

if TYPE_CHECKING:
    from webflow_conversions.ledger.search import Conversion
    from webflow_conversions.pipeline.preview import Foreseen
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A conversion and what it was found by: its source rows, the known users of its key, and what the ledger has of it."""

    source: str
    conversion: Foreseen
    rows: Sequence[Mapping[str, Any]]
    users: Sequence[Mapping[str, Any]]
    customer_id: str
    recorded: Conversion | None

    def to_json(self) -> dict[str, Any]:
        """The whole, with IDs and keys in clear: whoever may read the warehouse may read this."""
        event, recorded = self.conversion.event, self.recorded
        return {
            "source": self.source,
            "rows": [dict(row) for row in self.rows],
            "users": [dict(user) for user in self.users],
            **self.conversion._asdict(),
            "visit": json.loads(self.conversion.visit) if self.conversion.visit else None,
            "payload": json.loads(event.body(self.customer_id)) if event else None,
            "ledger": None
            if recorded is None
            else {
                "state": recorded.state,
                "reason": recorded.reason,
                "attempts": recorded.attempts,
                "http_status": recorded.http_status,
                "settled_at": recorded.settled_at,
            },
        }


@click.command()
@click.argument("text", metavar="ID")
@config_option
@click.option(
    "--source", "sources", multiple=True, metavar="NAME", help="Look in this source only. May be repeated. Default: all."
)
@date_option
@click.option("--send", "sends", is_flag=True, help="Send it now, through the ledger, after asking.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def trace(
    text: str, config_path: Path | None, sources: tuple[str, ...], day: str | None, sends: bool, yes: bool, as_json: bool
) -> None:
    """Follow one conversion from the warehouse to Webflow.

    ID is a conversion ID, an order number as people write it, an identity key, or an action ID. Shows the source row, the moment,
    the user, the visit, the state with its reason, the payload, and what the ledger has of it. People's IDs are shown in clear.
    Exit status 1 if no source returns it.
    """
    from webflow_conversions.pipeline.run import Run

    output, now, project = Output(as_json=as_json), datetime.now(UTC), project_of(config_path)
    names = project.config.chosen(sources)
    run = Run(id=0, run_id="trace", window=window_of(day, now, sendable_only=False), sources=names, dry_run=True, force=True)
    found = [one for name in names for one in traces(project, name, text, run)]
    for one in found:
        _show(output, one, now)
    if not found:
        output.line(
            f"No source returned a row with {text} in {run.window}. Try another --date, or ask the warehouse: the query of the "
            "source decides which rows there are."
        )
    output.document([one.to_json() for one in found])
    if not found:
        raise SystemExit(1)
    if sends:
        _send(output, project, found, yes=yes)


def _send(output: Output, project: Project, found: Sequence[Traced], *, yes: bool) -> None:
    from webflow_conversions.cli.sending import refuse_unsendable, send

    recorded = found[0].recorded if len(found) == 1 else None
    refuse_unsendable(project, found[0].source, [one.conversion for one in found], recorded)
    if not (yes or is_terminal()):
        raise click.UsageError("There is no terminal to ask on: give --yes.")
    (one,) = found
    url, customer_id = destination_of(project.config.source(one.source).webflow_conn_id)
    if not yes:
        click.confirm(f"Send it to {url}, customer ID {customer_id}? It cannot be taken back.", abort=True)
    sent = send(project, one.source, one.conversion)
    output.line(f"Webflow received it (HTTP {sent.http_status}); the ledger has it as {sent.state}.")


def traces(project: Project, name: str, text: str, run: Run) -> list[Traced]:
    """The conversions of a source to which a text may lead."""
    from webflow_conversions.pipeline.trace import PickedRows, conversion_id_in
    from webflow_conversions.rules.written import written_forms

    source = project.config.source(name)
    ids = {*written_forms(text), conversion_id_in(text) or text}
    _, customer_id = destination_of(source.webflow_conn_id)
    with progress(f"{name}: reading") as tell:
        picked = PickedRows(project.source_query(source, run.window), ids, lambda rows: tell(f"{name}: {rows:,} rows"))
        conversions = project.conversions(source, picked, run, lambda: datetime.now(UTC))
    return [
        Traced(
            source=name,
            conversion=one,
            rows=[row for row in picked.rows if _is_of(row, one)],
            users=_users(project, one.identity_key),
            customer_id=customer_id,
            recorded=_recorded(one.action_id),
        )
        for one in conversions
    ]


def _is_of(row: Mapping[str, Any], one: Foreseen) -> bool:
    from webflow_conversions.rules.ids import as_text

    return as_text(row["conversion_id"]) == one.conversion_id


def _users(project: Project, key: str | None) -> list[dict[str, Any]]:
    """All known users of an identity key."""
    if key is None:
        return []
    users = project.known_users.all_of([key])
    return [{name: row[name] for name in ("user_domain", "user_id")} for _, row in users.iterrows()]


def _recorded(action_id: str) -> Conversion | None:
    """What the ledger has of a conversion; None without a ledger."""
    from psycopg2.errors import InvalidSchemaName, UndefinedTable

    from webflow_conversions.hooks.connections import LEDGER, is_connection, ledger_session
    from webflow_conversions.ledger.search import Conversions
    from webflow_conversions.ledger.selection import Filter

    if not is_connection(LEDGER):
        return None
    try:
        found = Conversions(ledger_session()).page(Filter(conversion=action_id), 1).conversions
    except (Unavailable, InvalidSchemaName, UndefinedTable):  # away, or without a run yet
        return None
    return found[0] if found else None


def _show(output: Output, one: Traced, now: datetime) -> None:
    from webflow_conversions.rules.credit import explain_attribution
    from webflow_conversions.rules.states import explain_standing

    conversion = one.conversion
    output.line(f"{conversion.conversion_id or '(no conversion ID)'} of source {one.source}", style="bold")
    facts: list[tuple[str, str]] = []
    for number, row in enumerate(one.rows, 1):
        told = ", ".join(f"{name} = {value}" for name, value in row.items())
        facts.append(("source row" if len(one.rows) == 1 else f"source row {number}", told))
    facts.append(("moment", _moment(conversion, now)))
    facts.append(("identity key", conversion.identity_key or "none"))
    facts.append(("known users", ", ".join(f"{user['user_domain']} / {user['user_id']}" for user in one.users) or "none"))
    facts.append(("user", f"{conversion.user_domain} / {conversion.user_id}" if conversion.user_id else "none"))
    if conversion.attribution:
        meaning, remedy = explain_attribution(conversion.attribution, conversion.attribution_reason)
        facts.append(("visit", _visit(conversion)))
        facts.append(("will it count", f"{conversion.attribution}: {meaning} {remedy}".strip()))
    meaning, remedy = explain_standing(conversion.state, conversion.reason)
    facts.append(("state", f"{standing(conversion.state, conversion.reason)}: {meaning} {remedy}".strip()))
    if conversion.detail:
        facts.append(("detail", conversion.detail))
    event = conversion.event
    facts.append(("payload", event.body(one.customer_id).decode() if event else "none: it would not be sent"))
    facts.append(("ledger", _ledger(one.recorded)))
    output.table(("step", "found"), facts)
    output.line()


def _moment(one: Foreseen, now: datetime) -> str:
    from webflow_conversions.rules.window import from_milliseconds

    if one.action_timestamp_ms is None:
        return "none"
    try:
        moment = from_milliseconds(one.action_timestamp_ms)
    except OverflowError:
        return f"{one.action_timestamp_ms} ms"
    age = now - moment
    told = f"{_span(age)} ago" if age >= timedelta() else f"in {_span(-age)}"
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" UTC = {one.action_timestamp_ms} ms, {told}"


def _span(time: timedelta) -> str:
    minutes = time // timedelta(minutes=1)
    return f"{minutes // 60:,} h {minutes % 60} min"


def _visit(one: Foreseen) -> str:
    from webflow_conversions.rules.window import from_milliseconds

    if one.visit is None:
        return "none that credits it"
    told = json.loads(one.visit)
    moments = [
        f"{name.removesuffix('_at').replace('_', ' ')} {from_milliseconds(moment):%Y-%m-%d %H:%M:%S} UTC"
        for name, moment in told.items()
        if name.endswith("_at") and moment is not None
    ]
    return f"{', '.join(moments)}; counts by the readings {', '.join(told['readings'])}"


def _ledger(recorded: Conversion | None) -> str:
    if recorded is None:
        return "has no such conversion, or there is no ledger"
    settled = f", settled at {recorded.settled_at:%Y-%m-%d %H:%M:%S} UTC" if recorded.settled_at else ""
    return f"{standing(recorded.state, recorded.reason)}, {recorded.attempts} attempts{settled}"
