"""``webflow-conversions init``: writes a configuration and its SQL for the tables of a known system, in rehearsal."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from webflow_conversions.cli import questions as answer
from webflow_conversions.cli.dialects import DIALECTS
from webflow_conversions.cli.options import is_terminal
from webflow_conversions.cli.questions import Questions
from webflow_conversions.cli.starters import (
    LOADERS,
    SCHEMA_FILE,
    SYSTEMS,
    Answers,
    Plain,
    default_schema,
    dialects_of,
    schema_text,
    starter,
)
from webflow_conversions.errors import Unusable
from webflow_conversions.rules.source import TimestampKind

_WEBFLOW = '{"conn_type": "webflow", "login": "<account ID>", "password": "<off-site conversion token>"}'


def _one_of(names: Iterable[str]) -> "click.Choice[str]":
    return click.Choice(list(names), case_sensitive=False)


def _text(name: str, check: Callable[[str], str], what: str) -> Callable[[Any], Any]:
    return click.option(
        name, callback=lambda _context, _option, given: None if given is None else check(given), metavar="TEXT", help=what
    )


@click.command()
@click.option("--system", type=_one_of(SYSTEMS), help="Where the conversions come from.")
@click.option("--loader", type=_one_of(LOADERS), help="What lands its tables in the warehouse.")
@click.option("--dialect", type=_one_of(DIALECTS), help="The warehouse's database.")
@_text("--schema", answer.identifier, "Where the tables are: a schema, or database.schema.")
@_text("--event-name", answer.event_name, "The custom goal's event name in Webflow.")
@_text("--user-domain", answer.user_domain, "The first argument of wf.setUserId(). Default: the system.")
@_text("--currency", answer.currency, "The currency of the values, such as EUR.")
@_text("--source", answer.source, "The source's name. Default: by the system, such as shopify_sales.")
@_text("--table", answer.identifier, "For plain tables: the table of conversions.")
@_text("--id-column", answer.identifier, "For plain tables: what tells conversions apart, for ever.")
@_text("--time-column", answer.identifier, "For plain tables: when it happened.")
@_text("--key-column", answer.identifier, "For plain tables: the key to the known users.")
@_text("--value-column", answer.identifier, "For plain tables: what it is worth.")
@_text("--known-users-table", answer.identifier, "For plain tables: whom the site made known.")
@click.option("--timestamps", type=_one_of(answer.KINDS), help="For plain tables: what the time column holds.")
@_text("--timezone", answer.zone, "For local times: their zone, such as Europe/Berlin.")
@click.option("--into", type=click.Path(path_type=Path), default="include", show_default=True, help="The folder to write into.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def init(into: Path, force: bool, **given: Any) -> None:
    """Write a first configuration and its SQL.

    Asks which system the conversions come from, what lands its tables in the warehouse, and which database that is. Each answer
    can be given as an option instead. What is written begins in rehearsal: nothing is sent.
    """
    force = _may_write([into / "conversions.yaml", into / "sql" / "known_users.sql"], force=force)
    answers = _answers(given)
    written = {into / path: text for path, text in starter(answers).items()}
    _may_write([path for path in written if path.name != SCHEMA_FILE], force=force)
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unusable(
            f"{error.filename or into} cannot be written ({error.strerror}): name a folder that you may write to with --into."
        ) from error
    _say_what_follows(answers, into, written)


@click.command()
def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    click.echo(schema_text(), nl=False)


def _may_write(paths: Iterable[Path], *, force: bool) -> bool:
    """Whether files that are there may be overwritten; asked once.

    :raises Unusable: if they may not.
    """
    present = [str(path) for path in paths if path.exists()]
    if not present or force:
        return force
    is_one = len(present) == 1
    said = f"{' and '.join(present)} {'is' if is_one else 'are'} there already"
    if is_terminal() and click.confirm(f"{said}. Overwrite {'it' if is_one else 'them'}?"):
        return True
    raise Unusable(
        f"{said}, and nothing was written: give --force to overwrite, or --into with another folder. To add a source, write it "
        "there, and copy its SQL and its lines of conversions.yaml."
    )


def _answers(given: dict[str, Any]) -> Answers:
    ask = Questions(given)
    system = ask.choice("system", "Which system do the conversions come from?", SYSTEMS)
    of_system = SYSTEMS[system]
    loader = ask.choice("loader", f"What lands the tables of {of_system.title} in your warehouse?", of_system.loaders)
    dialect = ask.choice("dialect", "Which database is the warehouse?", dialects_of(system, loader))
    schema_name, user_domain, plain = given["schema"] or "", given["user_domain"] or system, Plain()
    if system == "plain":
        plain = _plain(ask)
    else:
        schema_name = ask.text("schema", "Which schema are they in?", default_schema(system, loader, dialect), answer.identifier)
        user_domain = ask.text("user_domain", "Which domain does the site give to wf.setUserId()?", system, answer.user_domain)
    event_name = ask.needed(
        "event_name", "Which event name has the custom goal in Webflow?", of_system.event_name, answer.event_name
    )
    currency = given["currency"]
    if system == "stripe" or is_terminal():
        currency = ask.needed("currency", "Which currency are the values in?", "USD", answer.currency)
    ask.settle()
    return Answers(
        system=system,
        loader=loader,
        dialect=dialect,
        event_name=event_name,
        schema=schema_name,
        source=given["source"] or of_system.source,
        user_domain=user_domain,
        currency=currency,
        plain=plain,
    )


def _plain(ask: Questions) -> Plain:
    default = Plain()

    def column(name: str, question: str, proposal: str) -> str:
        return ask.text(name, question, proposal, answer.identifier)

    table = column("table", "Which table holds the conversions?", default.table)
    id_column = column("id_column", "Which column tells them apart, for ever?", default.id)
    time_column = column("time_column", "Which column says when they happened?", default.time)
    kind = ask.choice("timestamps", "What does it hold?", answer.KINDS)
    timezone = None
    if kind == TimestampKind.LOCAL:
        timezone = ask.needed("timezone", "In which time zone?", "America/New_York", answer.zone)
    return Plain(
        table=table,
        id=id_column,
        time=time_column,
        key=column("key_column", "Which column is the key to the known users?", default.key),
        value=column("value_column", "Which column says what they are worth?", default.value),
        known_users=column("known_users_table", "Which table says whom the site made known?", default.known_users),
        kind=kind,
        timezone=timezone,
    )


def _say_what_follows(answers: Answers, into: Path, written: Iterable[Path]) -> None:
    from webflow_conversions.configuration import ENVIRONMENT_VARIABLE

    dialect = DIALECTS[answers.dialect]
    path = into / "conversions.yaml"
    click.echo(f"Written: {', '.join(str(one) for one in written)}\n")
    click.echo("1. Read both queries, and set the connections (Admin > Connections, or here):\n")
    if dialect.packages:
        click.echo(f"     pip install {dialect.packages}")
    click.echo(f"     export AIRFLOW_CONN_WAREHOUSE='{dialect.connection}'")
    click.echo(f"     export AIRFLOW_CONN_WEBFLOW_DEFAULT='{_WEBFLOW}'")
    if into != Path("include") or os.environ.get(ENVIRONMENT_VARIABLE):
        click.echo(f"     export {ENVIRONMENT_VARIABLE}='{path.resolve()}'")
    click.echo("\n2. webflow-conversions check      asks the warehouse and Webflow whether all of it can work")
    click.echo("3. webflow-conversions preview    shows what would be sent, and why the rest would not")
    click.echo("\n4. A run needs a ledger as well, an empty database of PostgreSQL:\n")
    click.echo("     export AIRFLOW_CONN_WEBFLOW_LEDGER='postgres://webflow:…@ledger.example.com:5432/webflow'")
    click.echo(f"\nNothing is sent until {path} says mode: live.")
