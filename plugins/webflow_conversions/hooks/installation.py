"""Whether Airflow has all of this package: its plugin and its connection types, both entry points of the installed package.

The package alone, on the path of Airflow's processes without being installed, runs a night. But there is no page, no note on a
failed run, no check of pools, no form and no *Test* of the connections; and nobody would know why.
"""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any

PLUGIN = "webflow"
"""Name of the plugin in Airflow."""

_NO_PLUGIN = f"has not loaded the plugin {PLUGIN}: there is no page Webflow, no note on a failed run and no check of pools"
_NOT_INSTALLED = (
    "the package is not installed with pip here, so that Airflow does not know the connection types webflow and webflow_data"
)


def missing_in_run(told: Mapping[str, Any] | None, started: datetime | None) -> str | None:
    """What is missing where a run's plan task runs, in words; None if nothing is.

    :param told: what the scheduler's listener told last; None if it never did.
    :param started: when the run started, by the scheduler's clock; None if it is not known.
    """
    told_at = told.get("at") if told else None
    is_of_this_run = told is not None and (started is None or told_at is None or datetime.fromisoformat(told_at) >= started)
    return "; ".join(([] if is_of_this_run else [f"the scheduler {_NO_PLUGIN}"]) + _not_installed()) or None


def missing_here() -> str | None:
    """What is missing in the Airflow of this process, in words; None if nothing is. Loads all of Airflow's plugins."""
    from airflow.plugins_manager import get_plugin_info

    is_loaded = any(plugin["name"] == PLUGIN for plugin in get_plugin_info(["name"]))
    return "; ".join(([] if is_loaded else [f"Airflow {_NO_PLUGIN}"]) + _not_installed()) or None


def _not_installed() -> list[str]:
    is_there = any(point.module == "webflow_conversions.provider" for point in entry_points(group="apache_airflow_provider"))
    return [] if is_there else [_NOT_INSTALLED]
