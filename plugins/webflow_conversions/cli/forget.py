"""``webflow-conversions forget``: removes a person from the ledger."""

from collections import Counter
from datetime import UTC, datetime
from itertools import chain

import click

from webflow_conversions.cli.options import is_terminal
from webflow_conversions.errors import Unfinished
from webflow_conversions.ledger.erasure import Erasure, Kept, KeptConversion, People
from webflow_conversions.rules.window import from_milliseconds


@click.command()
@click.option(
    "--user", "users", nargs=2, multiple=True, metavar="DOMAIN ID", help="A user: user_domain and user_id. May be repeated."
)
@click.option(
    "--identity-key", "identity_keys", multiple=True, metavar="KEY", help="A key of the person in the sources. May be repeated."
)
@click.option("--dry-run", is_flag=True, help="Show what is kept about the person, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(users: tuple[tuple[str, str], ...], identity_keys: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Remove a person from the ledger.

    First remove the person from the warehouse, then from the ledger with this command, then from backups of both. What was
    sent to Webflow is not taken back by it. Of each conversion a tombstone stays, so that it is never sent again:
    action ID, state, moment and value. What waits goes out no more.
    """
    if not (users or identity_keys) or not all(text.strip() for text in (*chain.from_iterable(users), *identity_keys)):
        raise click.UsageError("Say who it is: --user DOMAIN ID, --identity-key KEY, or both.")
    if not (dry_run or yes or is_terminal()):
        raise click.UsageError("There is no terminal to ask on: give --yes, or --dry-run to look.")
    erasure = _erasure(People(users=users, identity_keys=identity_keys))
    kept = erasure.kept()
    if kept.is_empty:
        click.echo("The ledger keeps nothing about this person.")
        return
    _show(kept)
    if dry_run:
        click.echo("\n" + "\n".join(_line(one) for one in kept.conversions))
        return
    if not yes:
        click.confirm("\nIs the person removed from the warehouse, and to be removed from the ledger for good?", abort=True)
    removed = erasure.remove(datetime.now(UTC))
    click.echo(
        f"\nRemoved the person from {_conversions(removed.conversions)}. "
        "Backups of the ledger and of the warehouse still have the person, as has Webflow what was sent: see docs/erasure.md."
    )
    if removed.busy:
        raise Unfinished(
            f"{_conversions(removed.busy)} {'was' if removed.busy == 1 else 'were'} left alone, since "
            f"{'it is' if removed.busy == 1 else 'they are'} being worked on at this moment: "
            f"run it again in {removed.wait_minutes} minute{'' if removed.wait_minutes == 1 else 's'}."
        )


def _erasure(people: People) -> Erasure:
    from webflow_conversions.hooks.connections import ledger_session

    return Erasure(ledger_session(), people)


def _show(kept: Kept) -> None:
    """Print what is kept, in numbers."""
    states = Counter(one.state for one in kept.conversions)
    lines = [("conversions", len(kept.conversions)), *((f"  {state}", count) for state, count in sorted(states.items()))]
    lines += [
        ("source rows kept with extractions", kept.extracted),
        ("entries of their history", kept.history),
        ("entries of the action log", kept.actions),
        ("records of runs", kept.runs),
    ]
    click.echo("The ledger keeps about this person:")
    for name, count in lines:
        click.echo(f"  {name:<36}{count:>9,}")


def _conversions(number: int) -> str:
    return "1 conversion" if number == 1 else f"{number:,} conversions"


def _line(one: KeptConversion) -> str:
    """All that a conversion says about the person."""
    parts = {
        "value": one.value,
        "user_domain": one.user_domain,
        "user_id": one.user_id,
        "identity_key": one.identity_key,
        "conversion_id": one.conversion_id,
    }
    known = "  ".join(f"{name}={text}" for name, text in parts.items() if text is not None)
    return f"{one.action_id}  {one.state}  {_moment(one.action_timestamp_ms)}  {known}"


def _moment(milliseconds: int | None) -> str:
    try:
        return "no moment" if milliseconds is None else f"{from_milliseconds(milliseconds):%Y-%m-%d %H:%M:%SZ}"
    except OverflowError:
        return f"{milliseconds} ms"
