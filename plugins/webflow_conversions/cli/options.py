"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webflow_conversions.errors import Unusable

if TYPE_CHECKING:
    from datetime import datetime

    from webflow_conversions.project import Project
    from webflow_conversions.rules.window import Window

_OF_THIS_FOLDER = Path("include") / "conversions.yaml"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The configuration file. Default: the one that WEBFLOW_CONVERSIONS_CONFIG names, else include/conversions.yaml of this "
    "folder, else the one beside Airflow's Dags folder.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
date_option = click.option(
    "--date", "day", metavar="YYYY-MM-DD", help="Conversions of this UTC date only. Default: the last 2 days."
)


def is_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def project_of(config_path: Path | None) -> Project:
    """The project of a configuration file.

    :raises Unusable: if there is no such file, or it is wrong.
    """
    from webflow_conversions.project import Project

    return Project(path_of(config_path))


def window_of(day: str | None, now: datetime, *, sendable_only: bool = True) -> Window:
    """The window of a UTC date, or the last 2 days.

    :raises Unusable: if the text is no date, or, with ``sendable_only``, nothing of the date can be sent any more.
    """
    from webflow_conversions.rules.window import Window, WindowError, parse_date

    try:
        window = Window.of_date(parse_date(day)) if day else Window.up_to(now)
        if sendable_only:
            window.refuse_if_hopeless(now)
    except WindowError as error:
        raise Unusable(str(error)) from None
    return window


def path_of(config_path: Path | None) -> Path:
    """The configuration file that was given, or the default one."""
    from webflow_conversions.configuration import ENVIRONMENT_VARIABLE
    from webflow_conversions.operators.base import default_config_path

    if config_path is None and not os.environ.get(ENVIRONMENT_VARIABLE) and _OF_THIS_FOLDER.is_file():
        return _OF_THIS_FOLDER
    return config_path or default_config_path()


def destination_of(name: str) -> tuple[str | None, str]:
    """The URL and the customer ID of a destination, as far as there is a connection yet."""
    from webflow_conversions.hooks.webflow import WebflowHook

    try:
        api = WebflowHook(name).get_conn()
    except Unusable:
        return None, "(not known yet)"
    return api.url, api.customer_id
