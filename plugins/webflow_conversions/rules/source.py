"""What is settled about a source before a row of it is read: the kind of its timestamps, its goals, how its rows are judged.

Without pandas: a push reads the configuration, too, and never sees a row of a source.
"""

import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from webflow_conversions.rules.personal_data import PersonalDataInIds


class TimestampKind(StrEnum):
    """The kind of timestamps in a source's ``occurred_at``."""

    LOCAL = "local"
    AWARE = "aware"
    EPOCH_SECONDS = "epoch_seconds"
    EPOCH_MILLISECONDS = "epoch_milliseconds"


class Ambiguous(StrEnum):
    """The treatment of a local time that a clock change repeats."""

    LATER = "later"
    REJECT = "reject"


class Nonexistent(StrEnum):
    """The treatment of a local time that a clock change skips."""

    OFFSET_BEFORE = "offset_before"
    REJECT = "reject"


def is_zone(name: object) -> bool:
    """Whether the zone database has a zone with exactly this IANA name."""
    return isinstance(name, str) and name in _zone_names()


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "Factory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A goal had ``event_name`` in ``[valid_from, valid_to)``; None is an open end."""

    event_name: str
    valid_from: datetime | None
    valid_to: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """The part of the configuration that decides how a source's rows are judged."""

    destination: str
    source: str
    event_name: str | None
    kind: TimestampKind
    timezone: str | None = None
    ambiguous: Ambiguous = Ambiguous.LATER
    nonexistent: Nonexistent = Nonexistent.OFFSET_BEFORE
    goals: Sequence[Goal] | None = None
    personal_data: PersonalDataInIds = PersonalDataInIds.REJECT
