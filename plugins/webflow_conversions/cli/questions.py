"""Questions on a terminal, and the checks of their answers, which are those of the options as well."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import click

from webflow_conversions.cli.options import is_terminal
from webflow_conversions.rules.event import is_event_name
from webflow_conversions.rules.source import TimestampKind, is_zone

KINDS = sorted(kind.value for kind in TimestampKind)

_NAME = r'[\w$-]+|"[\w$ -]+"|`[\w$ -]+`|\[[\w$ -]+\]'
_NAMES = re.compile(rf"(?:{_NAME})(?:\.(?:{_NAME})){{0,2}}")
"""A table, a schema or a column, with what it is in, quoted or not."""


# Each check returns the answer, and raises click.BadParameter if it is none.


def identifier(text: str) -> str:
    """The name of a table, a column or a schema."""
    if not _NAMES.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no name of a table, a column or a schema: letters, digits, _, - and points.")
    return text


def event_name(text: str) -> str:
    """An event name that Webflow takes."""
    if not is_event_name(text):
        raise click.BadParameter("an event name has 1 to 40 printable ASCII characters, no space and no e-mail address.")
    return text


def source(text: str) -> str:
    """The name of a source."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}", text):
        raise click.BadParameter("a source's name has 1 to 60 letters, digits, _, . and -, and does not begin with . or -.")
    return text


def zone(text: str) -> str:
    """The name of a time zone."""
    if not is_zone(text):
        raise click.BadParameter(f"{text!r} is no name of the IANA time zone database, such as Europe/Berlin.")
    return text


def currency(text: str) -> str:
    """A currency's three letters, in capitals."""
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise click.BadParameter(f"{text!r} is no currency: three letters, such as EUR.")
    return text.upper()


def user_domain(text: str) -> str:
    """A user domain that can stand in SQL."""
    if not re.fullmatch(r"[\w.:/@ -]{1,100}", text):
        raise click.BadParameter("a user domain has letters, digits, and none of the signs that SQL gives a meaning.")
    return text


class Questions:
    """Asks for what was not given as an option; without a terminal, tells all that is missing at once."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._missing: list[str] = []

    def choice(self, name: str, question: str, choices: Iterable[str]) -> str:
        """One of a few; nobody is asked if there is only one."""
        among = list(choices)
        given = self._given[name]
        if given is not None:
            if given not in among:
                raise click.UsageError(f"{self._option(name)} {given} does not go with the rest: choose from {', '.join(among)}.")
            return str(given)
        if len(among) == 1:
            return among[0]
        return str(self._ask(name, question, among[0], type=click.Choice(among, case_sensitive=False)))

    def text(self, name: str, question: str, default: str, check: Callable[[str], str]) -> str:
        """A text with a default that serves."""
        if self._given[name] is not None:
            return str(self._given[name])
        if not is_terminal():
            return default
        return str(click.prompt(question, default=default, value_proc=check))

    def needed(self, name: str, question: str, proposal: str, check: Callable[[str], str]) -> str:
        """A text that only a person knows; the proposal is a default for those who are asked."""
        if self._given[name] is not None:
            return str(self._given[name])
        return str(self._ask(name, question, proposal, value_proc=check))

    def settle(self) -> None:
        """Say what is missing.

        :raises click.UsageError: if something is, and there is no terminal to ask on.
        """
        if self._missing:
            raise click.UsageError(f"There is no terminal to ask on: give {' and '.join(self._missing)}, too.")

    def _ask(self, name: str, question: str, proposal: str, **arguments: Any) -> Any:
        if is_terminal():
            return click.prompt(question, default=proposal, **arguments)
        self._missing.append(self._option(name))
        return proposal

    @staticmethod
    def _option(name: str) -> str:
        return f"--{name.replace('_', '-')}"
