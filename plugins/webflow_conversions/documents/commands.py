"""The page of the command for people: ``python -m webflow_conversions.documents.commands > docs/commands.md``."""

import inspect
import re
import sys
from collections.abc import Iterator

import click

from webflow_conversions.cli.main import cli
from webflow_conversions.documents.markdown import table

_HEAD = """# The command

<!-- Written by `python -m webflow_conversions.documents.commands > docs/commands.md`; change cli/. -->

`webflow-conversions` comes with the package; `python -m webflow_conversions` is the same. It needs no scheduler. Connections are
those of Airflow: environment variables (`AIRFLOW_CONN_WAREHOUSE`, …), a secrets backend, or Airflow's own database. On a terminal
it writes tables in colour, elsewhere plain text, and with `--json` a document for scripts. Progress, and whatever is logged,
goes to standard error.

| exit status | meaning |
|---|---|
| 0 | Done, and nothing is wrong. |
| 1 | Something is wrong, or not as expected: the last line of the output says what. |
| 2 | The command was called wrongly: an option is missing or unknown. |

Only `trace --send` sends a conversion, and asks before it does. Only `trace --send` and `forget` write to the ledger, and only
`init` writes files.
"""


def page() -> str:
    """The whole page, in Markdown."""
    context = click.Context(cli, info_name="webflow-conversions", help_option_names=["-h", "--help"])
    summaries = [
        (f"[`{name}`](#webflow-conversions-{name})", command.get_short_help_str(limit=200))
        for name, command in sorted(cli.commands.items())
    ]
    parts = [_HEAD, *table(("subcommand", "what it does"), summaries)]
    for name, command in sorted(cli.commands.items()):
        parts += _section(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts) + "\n"


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    """A subcommand: how it is called, what it does, its options."""
    yield f"\n## {context.command_path}\n"
    yield "```text"
    yield f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield "```\n"
    yield re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or "")) + "\n" * bool(command.params)
    records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    if records:
        yield from table(("option", "what it does"), ((_code(record[0]), _text(record[1])) for record in records if record))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")


def _text(text: str) -> str:
    return text.replace("|", r"\|").replace("<", r"\<")


if __name__ == "__main__":
    sys.stdout.write(page())
