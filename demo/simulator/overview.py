"""The simulator's page for people."""

import html
from collections.abc import Mapping
from typing import Any


def as_page(summary: Mapping[str, Any], faults: Mapping[str, Any]) -> str:
    """The summary and the faults in force as HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Webflow simulator</title>'
        "<style>body{font-family:sans-serif;margin:2rem}th{text-align:left;vertical-align:top;padding-right:2rem}</style>"
        f"</head><body><h1>Webflow simulator</h1>{_shown(summary)}<h2>Faults</h2>{_shown(faults)}</body></html>"
    )


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        rows = (
            f"<tr><th>{html.escape(str(name)).replace('_', ' ')}</th><td>{_shown(of)}</td></tr>" for name, of in value.items()
        )
        return f"<table>{''.join(rows)}</table>"
    if isinstance(value, list) and value:
        return "<br>".join(_shown(item) for item in value[-20:])
    return html.escape(str(value)) if value or value == 0 else "–"
