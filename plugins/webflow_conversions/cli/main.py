"""The command ``webflow-conversions`` with its subcommands; an error of ours is one sentence and exit status 1."""

import os
from typing import Any

import click
from psycopg2.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable

from webflow_conversions import __version__
from webflow_conversions.cli.check import check
from webflow_conversions.cli.forget import forget
from webflow_conversions.cli.init import init, schema
from webflow_conversions.cli.preview import preview
from webflow_conversions.cli.testing import test
from webflow_conversions.cli.trace import trace
from webflow_conversions.errors import ConversionsError, first_line, frames
from webflow_conversions.pipeline.failures import sentence_of


class Commands(click.Group):
    """Subcommands whose expected errors end in one sentence; others are told by their type and place, since their text may hold
    values of rows.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConversionsError as error:
            raise click.ClickException(str(error)) from error
        except (InvalidSchemaName, UndefinedTable, UndefinedColumn) as error:
            raise click.ClickException(
                "The ledger has no tables of this release yet: the plan task of the next run makes them."
            ) from error
        except InsufficientPrivilege as error:
            raise click.ClickException(
                f"The role of connection webflow_ledger may not do this ({first_line(error)}): "
                "use the connection of the tasks, or that of the ledger's owner."
            ) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, EOFError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - told, without its text
            raise click.ClickException(f"{sentence_of(error)}\n{frames(error)}") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="webflow-conversions")
def cli() -> None:
    """Off-site conversions for Webflow."""
    # So that the connections of Airflow's own database count, not those of the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


cli.add_command(check)
cli.add_command(forget)
cli.add_command(init)
cli.add_command(preview)
cli.add_command(schema)
cli.add_command(test)
cli.add_command(trace)


def main() -> None:
    """Run the command with the arguments of this process."""
    cli(prog_name="webflow-conversions")
