"""What Airflow gets of the package through the entry point ``airflow.plugins``: all but its operators and connection types."""

import asyncio
from threading import Lock
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from webflow_conversions.hooks import scheduler
from webflow_conversions.hooks.portless_test import PortlessTest
from webflow_conversions.timetable import NightOfRun, NightTimetable


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The conversions page, an ASGI application; every process imports this module, and only the API server imports the page.

    The first request imports it, which takes seconds, in a thread: the event loop is that of all of Airflow's API server.
    """
    await (_made[0] if _made else await asyncio.to_thread(_make))(scope, receive, send)


_made: list[Any] = []
_making = Lock()


def _make() -> Any:
    """The application; the first call makes it, others wait for that."""
    with _making:
        if not _made:
            from webflow_conversions.ui.app import create_app

            _made.append(create_app())
        return _made[0]


class WebflowPlugin(AirflowPlugin):
    """The conversions page, the Dag's timetable and deadline, the listener for what only the scheduler knows, and *Test*."""

    name = "webflow"
    fastapi_apps = [{"name": "Webflow conversions", "app": page, "url_prefix": "/webflow"}]  # noqa: RUF012 - Airflow's own kind of attribute
    fastapi_root_middlewares = [  # noqa: RUF012
        {"name": "Test of connections without a port", "middleware": PortlessTest, "args": [], "kwargs": {}}
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Webflow",
            "href": "webflow/",
            "destination": "nav",
            "url_route": "conversions",
            "nav_top_level": True,
            "icon": "webflow/static/icon.svg",
        }
    ]
    listeners = [scheduler]  # noqa: RUF012
    timetables = [NightTimetable]  # noqa: RUF012
    deadline_references = [NightOfRun]  # noqa: RUF012
