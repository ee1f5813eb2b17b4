"""The output of the command: tables for people, coloured on a terminal alone, or JSON for scripts."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from decimal import Decimal
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
"""Characters of a line where there is no terminal whose width counts."""


class Output:
    """Where a command writes, and nothing else: what is logged meanwhile goes to standard error, so that JSON stays JSON.

    Whatever it is given is text, never markup. To be made before Airflow is imported, whose log remembers its stream.

    :param as_json: whether only :meth:`document` writes, and the rest is for people.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._is_json = as_json
        self._stream = sys.stdout
        click.get_current_context().with_resource(redirect_stdout(sys.stderr))
        self._is_terminal = self._stream.isatty()
        width = None if self._is_terminal else PLAIN_WIDTH
        self._console = Console(file=self._stream, highlight=False, markup=False, width=width, soft_wrap=False)

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line."""
        if not self._is_json:
            self._console.print(Text(_printable(text), style=style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write a table; numbers stand at the right. A cell may be a :class:`rich.text.Text`. Nothing is cut off."""
        if self._is_json:
            return
        listed = [list(row) for row in rows]
        table = Table(
            box=box.SIMPLE_HEAD if self._is_terminal else box.ASCII2,
            show_edge=False,
            pad_edge=False,
        )
        for place, name in enumerate(columns):
            are_numbers = bool(listed) and all(isinstance(row[place], (int, Decimal, type(None))) for row in listed)
            table.add_column(Text(name), justify="right" if are_numbers else "left", overflow="fold")
        for row in listed:
            table.add_row(*(cell if isinstance(cell, Text) else Text(_written(cell)) for cell in row))
        self._console.print(table)

    def document(self, document: Any) -> None:
        """Write the result as JSON, if that was asked for; money as text, exactly."""
        if self._is_json:
            click.echo(json.dumps(document, default=str, ensure_ascii=False, indent=2), file=self._stream)


def standing(state: str, reason: str | None) -> str:
    """A state with its reason."""
    return f"{state} ({reason})" if reason else state


def _written(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case Decimal():
            return f"{cell:,.2f}"
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case _:
            return _printable(str(cell))


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Shows a line on a terminal while something lasts; the function that is given takes another line."""
    with Console(stderr=True, markup=False).status(text) as status:
        yield status.update


def _printable(text: str) -> str:
    """The text without what would steer a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)
