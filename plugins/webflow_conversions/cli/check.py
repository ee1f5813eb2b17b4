"""``webflow-conversions check``: whether a night could succeed, without a ledger and without sending a conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from webflow_conversions.cli.options import config_option, json_option, project_of
from webflow_conversions.cli.output import Output
from webflow_conversions.errors import ConversionsError

if TYPE_CHECKING:
    from webflow_conversions.configuration import Configuration, NoticeTo, Source
    from webflow_conversions.project import NamedQuery, Project


class Level(StrEnum):
    """How much a result matters: a run could succeed, could but somebody should look, could not."""

    RIGHT = "right"
    NOTE = "note"
    WRONG = "wrong"


SAMPLE_ROWS = 200
"""Rows of each source that are read."""

_STYLES = {Level.RIGHT: "green", Level.NOTE: "yellow", Level.WRONG: "bold red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of one check: what it is about, and what was found, in words."""

    about: str
    level: Level
    found: str


@click.command()
@config_option
@json_option
def check(config_path: Path | None, as_json: bool) -> None:
    """Check configuration, queries, connections and token.

    Reads the first rows of each source, and sends no conversion. Webflow's API is asked with an event that lacks all but the
    customer ID, and so counts for nobody. Exit status 1 if a run could not succeed.
    """
    output = Output(as_json=as_json)
    project = project_of(config_path)
    results = list(checks(project, datetime.now(UTC)))
    output.table(
        ("check", "result", "found"),
        ((one.about, Text(one.level, style=_STYLES[one.level]), one.found) for one in results),
    )
    wrong = sum(one.level is Level.WRONG for one in results)
    output.line()
    output.line(f"{wrong} of {len(results)} checks found something wrong." if wrong else "A run could succeed.")
    output.document({"ok": not wrong, "checks": [asdict(one) for one in results]})
    if wrong:
        raise SystemExit(1)


def checks(project: Project, now: datetime) -> Iterator[Checked]:
    """The results of all checks, one after the other."""
    from webflow_conversions.rules.window import Window

    config = project.config
    sources = [source.name for source in config.sources]
    yield Checked(about="configuration", level=Level.RIGHT, found=_described(project))
    for query in project.queries(sources, Window.up_to(now)):
        yield _checked(f"query of {query.about}", partial(_looked_at, query))
    for source in config.sources:
        yield _checked(f"rows of source {source.name}", partial(_tried, project, source, now))
    for destination, names in config.destinations(sources).items():
        yield _checked(f"destination {destination}", partial(_asked, destination, names))
    if config.readback is not None:
        yield _checked("goals", partial(_compared, project, sources, now))
    for number, notice in enumerate(config.notices, 1):
        yield _checked(f"notices[{number}]", partial(_built, notice))
    yield _guards(config)
    yield _checked("ledger", _ledger)
    yield _checked("airflow", _installed)


def _checked(about: str, look: Callable[[], tuple[Level, str]]) -> Checked:
    try:
        level, found = look()
    except ConversionsError as error:
        level, found = Level.WRONG, str(error)
    return Checked(about=about, level=level, found=found)


def _described(project: Project) -> str:
    config = project.config
    sources = "1 source" if len(config.sources) == 1 else f"{len(config.sources)} sources"
    return f"{project.file.path}: {sources} ({project.file.digest})"


def _looked_at(query: NamedQuery) -> tuple[Level, str]:
    built = query.build()
    built.check()
    types = built.warehouse.type_names(built.sql)
    columns = ", ".join(f"{name} ({types[name]})" if name in types else name for name in built.columns)
    return Level.RIGHT, f"{query.file}, over connection {query.warehouse_conn_id}: {columns}"


def _tried(project: Project, source: Source, now: datetime) -> tuple[Level, str]:
    """What would become of the first rows: values that are not understood, and keys without a user."""
    from webflow_conversions.pipeline.dry_run import WithoutLedger
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.rules.states import State
    from webflow_conversions.rules.window import Window

    run = Run(id=0, run_id="check", window=Window.up_to(now), sources=[source.name], dry_run=True, force=False)
    shown = project.preview(source, run, WithoutLedger(), lambda: now, customer_id="", most_rows=SAMPLE_ROWS)
    if not shown.tally.read.rows:
        return Level.NOTE, "no row of the last 2 days"
    parts = [f"{shown.to_send.rows:,} of the first {shown.tally.read.rows:,} rows would be sent"]
    for one in shown.outcomes:
        if one.reason is not None:
            detail = next((f": {example.detail}" for example in one.examples if example.detail), "")
            parts.append(f"{one.amount.rows:,} {one.state} ({one.reason}{detail})")
    is_wrong = not shown.to_send.rows
    is_noted = any(one.state == State.REJECTED for one in shown.outcomes) or shown.hints
    return Level.WRONG if is_wrong else Level.NOTE if is_noted else Level.RIGHT, "; ".join([*parts, *shown.hints])


def _asked(destination: str, sources: list[str]) -> tuple[Level, str]:
    """Webflow's answer to the token, and where the conversions of these sources go."""
    from webflow_conversions.hooks.webflow import WebflowHook

    hook = WebflowHook(destination)
    api = hook.get_conn()
    is_right, words = hook.test_connection()
    where = f"{', '.join(sources)} to {api.url}, customer ID {api.customer_id}"
    return Level.RIGHT if is_right else Level.WRONG, f"{where}. {words}"


def _built(notice: NoticeTo) -> tuple[Level, str]:
    from webflow_conversions.operators.notifiers import built

    built(notice)
    return Level.RIGHT, f"{notice.notifier}, on {', '.join(notice.on)}"


def _compared(project: Project, sources: list[str], now: datetime) -> tuple[Level, str]:
    difference = project.goals_difference(sources, now)
    return (Level.NOTE, f"{difference}.") if difference else (Level.RIGHT, "event names and goals are those of the site")


def _guards(config: Configuration) -> Checked:
    off = [name for name, limit in config.guards.model_dump().items() if limit is None or limit is False]
    if not off:
        return Checked(about="guards", level=Level.RIGHT, found="all are on")
    return Checked(about="guards", level=Level.NOTE, found=f"switched off: {', '.join(off)}")


def _installed() -> tuple[Level, str]:
    from webflow_conversions.hooks.installation import missing_here

    missing = missing_here()
    return (Level.NOTE, f"{missing}.") if missing else (Level.RIGHT, "plugin and connection types are there")


def _ledger() -> tuple[Level, str]:
    """The ledger, without which everything but a run can be done."""
    from webflow_conversions.hooks.connections import LEDGER, is_connection, ledger_session
    from webflow_conversions.ledger.deployment import server

    if not is_connection(LEDGER):
        return Level.NOTE, f"there is no connection {LEDGER} yet: preview needs none, a run does"
    return Level.RIGHT, server(ledger_session())
