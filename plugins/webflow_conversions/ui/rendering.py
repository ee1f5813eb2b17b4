"""HTML from the templates, and what they need: words for figures, and addresses that hold under any path prefix."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import READINGS
from webflow_conversions.rules.states import State
from webflow_conversions.ui import formatting, static
from webflow_conversions.ui.credit import LABELS, selection
from webflow_conversions.ui.dag import DAG_ID
from webflow_conversions.ui.rehearsal import band

PREFIX = "/webflow"
"""Where Airflow mounts the page."""


def address(request: Request, path: str, query: Mapping[str, Any] | None = None) -> str:
    """The address of one of our pages, without parameters that are empty."""
    given = {name: value for name, value in (query or {}).items() if value not in (None, "", [])}
    return f"{request.scope.get('root_path', '')}{path}{'?' if given else ''}{urlencode(given, doseq=True)}"


def render(request: Request, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A page.

    :param template: the file in ``templates/``.
    """
    root = str(request.scope.get("root_path", ""))
    airflow = root.removesuffix(PREFIX)

    def url(path: str, query: Mapping[str, Any] | None = None, **more: Any) -> str:
        return address(request, path, {**(query or {}), **more})

    def run_url(run_id: str) -> str:
        return f"{airflow}/dags/{quote(DAG_ID, safe='')}/runs/{quote(run_id, safe='')}"

    text = (
        _environment()
        .get_template(template)
        .render(
            url=url,
            run_url=run_url,
            dag_url=f"{airflow}/dags/{DAG_ID}",
            airflow_url=f"{airflow}/",
            band=band,
            static_url=lambda name: f"{root}/static/{name}?v={static.version()}",
            path=request.url.path.removeprefix(root),
            **values,
        )
    )
    return HTMLResponse(text, status_code=status_code)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("webflow_conversions.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": formatting.number,
        "money": formatting.money,
        "percent": formatting.percent,
        "duration": formatting.duration,
        "clock": formatting.clock,
        "moment": formatting.moment_in_full,
        "conversions": formatting.conversions,
        "second": formatting.second,
        "short": formatting.short,
        "day": formatting.day,
        "iso": formatting.iso,
        "milliseconds": formatting.milliseconds,
        "total": _total,
        "json": _json,
    }
    made.globals |= {"states": list(State), "verdict_labels": LABELS, "readings": READINGS, "credited": selection}
    return made


def _total(amounts: Mapping[str, Amount]) -> Amount:
    return sum(amounts.values(), Amount())


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
