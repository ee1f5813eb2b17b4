"""CSV for spreadsheets; no cell of it can become a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

from webflow_conversions.ui.conversion import ConversionView

COLUMNS = (
    "source",
    "conversion_id",
    "event_name",
    "occurred_at",
    "value",
    "state",
    "reason",
    "sentence",
    "meaning",
    "detail",
    "attempts",
    "attempts_in_doubt",
    "http_status",
    "trouble",
    "first_seen_at",
    "sent_at",
    "settled_at",
    "attribution",
    "attribution_reason",
    "attribution_meaning",
    "attribution_judged_at",
    "minutes_from_activity",
    "credited_under",
    "visit_id",
    "visit_started_at",
    "visit_last_active_at",
    "visit_first_viewed_at",
    "identity_key",
    "user_domain",
    "user_id",
    "action_id",
    "destination",
    "run_id",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes a cell that begins so for a formula, or looks behind it for one (OWASP, CSV Injection)."""


def csv_lines(pages: Iterable[Sequence[ConversionView]]) -> Iterator[str]:
    """The lines of the file, a page of conversions at a time; UTF-8 with the mark that spreadsheets look for."""
    yield "\ufeff" + _lines([COLUMNS])
    for page in pages:
        yield _lines([_cell(getattr(conversion, column)) for column in COLUMNS] for conversion in page)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        case Decimal():
            return f"{value:f}"
        case list():
            return " ".join(value)
        case _:
            text = str(value)
            return f"'{text}" if text.startswith(_FORMULA) else text
