"""Numbers, money and times as people read them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import from_milliseconds


def number(count: int) -> str:
    """``12,345``."""
    return f"{count:,}"


def money(value: Decimal, currency: str | None = None) -> str:
    """``12,345.60``, or ``EUR 12,345.60`` with the currency that the configuration names."""
    return f"{currency} {value:,.2f}" if currency else f"{value:,.2f}"


def percent(share: float | None) -> str:
    """``82.4 %``, and never 100 or 0 for what is not quite so."""
    if share is None:
        return "–"
    shown = round(share * 100, 1)
    if shown == 100 and share < 1:
        shown = 99.9
    if shown == 0 and share > 0:
        shown = 0.1
    return f"{shown:g} %"


def conversions(amount: Amount, currency: str | None = None) -> str:
    """``1,204 conversions (worth 45,120.00)``."""
    worth = f" (worth {money(amount.value, currency)})" if amount.value else ""
    return f"{number(amount.rows)} conversion{'' if amount.rows == 1 else 's'}{worth}"


def duration(span: timedelta) -> str:
    """The two largest units: ``2 d 3 h``, ``3 h 12 min``, ``29 min``, ``40 s``."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 60:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def clock(moment: datetime) -> str:
    """``23:40 UTC``."""
    return f"{moment.astimezone(UTC):%H:%M} UTC"


def second(moment: datetime) -> str:
    """``23:40:05 UTC``."""
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"


def moment_in_full(moment: datetime) -> str:
    """``2026-11-23 23:40:05 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short(moment: datetime) -> str:
    """``23 Nov 23:40 UTC``."""
    return f"{day(moment.astimezone(UTC))} {clock(moment)}"


def day(when: date) -> str:
    """``23 Nov``."""
    return f"{when.day} {when:%b}"


def iso(moment: datetime) -> str:
    """``2026-11-23T23:40:05Z``, for machines."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def milliseconds(moment_ms: int) -> str:
    """A moment in UTC milliseconds: ``2026-11-23 23:40 UTC``, or the number where no calendar has it."""
    try:
        return f"{from_milliseconds(moment_ms):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError):
        return f"{moment_ms} ms"
