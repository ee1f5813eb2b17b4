"""Whether Airflow has all of this package: ``plugins/webflow_plugin.py`` of this release, and the entry point of the provider.

The package alone runs a night. Without the plugin there is no page, no note on a failed run and no check of pools, without
the entry point no form and no *Test* of the connections; and nobody would know why.
"""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any

PLUGIN_REVISION = 1
"""The revision of ``plugins/webflow_plugin.py`` that this release needs; raised when that file changes."""

_NO_PLUGIN = "has not loaded webflow_plugin.py: there is no page Webflow, no note on a failed run and no check of pools"
_OTHER_PLUGIN = "has a webflow_plugin.py of another release"
_NO_PROVIDER = (
    "the package is not installed with pip here, so that Airflow does not know the connection types webflow and webflow_data"
)

_loaded_revision: int | None = None


def plugin_loaded(revision: int) -> None:
    """Called by the plugin's file when Airflow loads it in this process."""
    global _loaded_revision  # noqa: PLW0603 - one plugin a process
    _loaded_revision = revision


def loaded_revision() -> int | None:
    """The revision of the plugin's file in this process; None if it was not loaded, or is too old to tell."""
    return _loaded_revision


def missing_in_run(told: Mapping[str, Any] | None, started: datetime | None) -> str | None:
    """What is missing where a run's plan task runs, in words; None if nothing is.

    :param told: what the scheduler's listener told last; None if it never did.
    :param started: when the run started, by the scheduler's clock; None if it is not known.
    """
    told_at = told.get("at") if told else None
    is_of_this_run = told is not None and (started is None or told_at is None or datetime.fromisoformat(told_at) >= started)
    found = []
    if told is None or not is_of_this_run:
        found.append(f"the scheduler {_NO_PLUGIN}")
    elif told.get("plugin") != PLUGIN_REVISION:
        found.append(f"the scheduler {_OTHER_PLUGIN}")
    return "; ".join(found + _missing_provider()) or None


def missing_here() -> str | None:
    """What is missing in the Airflow of this process, in words; None if nothing is. Loads all of Airflow's plugins."""
    from airflow.plugins_manager import get_plugin_info

    found = []
    if not any(plugin["name"] == "webflow" for plugin in get_plugin_info(["name"])):
        found.append(f"Airflow {_NO_PLUGIN}")
    elif _loaded_revision != PLUGIN_REVISION:
        found.append(f"Airflow {_OTHER_PLUGIN}")
    return "; ".join(found + _missing_provider()) or None


def _missing_provider() -> list[str]:
    is_there = any(point.module == "webflow_conversions.provider" for point in entry_points(group="apache_airflow_provider"))
    return [] if is_there else [_NO_PROVIDER]
