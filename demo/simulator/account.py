"""The account behind the site: its settings, its goals, and the nightly imports of the received events."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from demo.simulator.goals import Goals, parse_goals
from demo.simulator.nightly_import import Credit, Reading, Received, import_events, next_midnight_ms
from demo.simulator.site import Report, Site, User
from demo.simulator.site_store import SiteStore
from demo.simulator.store import EventReader

SITE_ID = "65427cf400e02b306eaa04a0"
OPTIMIZE_ID = "123456789"


class Settings(BaseModel):
    """How the account is set up, and how it answers what Webflow's pages leave open.

    ``goals_have_names``: whether List Goals gives the event names. ``time_zone``: the account's, in which Optimize counts days.
    ``answer_milliseconds``: time that an answer of the Data API takes. ``answer_status``: status of each of its answers, None for
    the right one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reading: Reading = Reading.STRICT
    ids_persist: bool = False
    goal_must_still_have_name: bool = False
    goals_have_names: bool = False
    scopes: frozenset[str] = frozenset({"sites:read"})
    add_ons: frozenset[str] = frozenset({"analyze", "optimize"})
    time_zone: str = "UTC"
    answer_milliseconds: float = Field(default=0.0, ge=0, le=60_000)
    answer_status: int | None = Field(default=None, ge=400, le=599)

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("time_zone must be an IANA name")
        return name


class Account:
    """One account; its methods are called from one thread at a time."""

    def __init__(self, path: Path, events: EventReader) -> None:
        self._store = SiteStore(path)
        self._events = events
        self.settings = Settings.model_validate_json(self._store.document("settings") or "{}")
        self._take(self.settings, json.loads(self._store.document("goals") or "[]"))

    def configure(self, told: Any) -> None:
        """Replace the settings.

        :raises ValueError: they are invalid.
        """
        try:
            settings = Settings.model_validate(told)
        except ValidationError as error:
            raise ValueError("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())) from None
        self._store.set_document("settings", settings.model_dump_json())
        self._take(settings, self.goals.as_json())

    def set_goals(self, told: Any) -> None:
        """Replace the goals.

        :raises ValueError: they are invalid.
        """
        names = parse_goals(told)
        self.goals = Goals(names, must_still_have_name=self.settings.goal_must_still_have_name)
        self._store.set_document("goals", json.dumps(self.goals.as_json()))

    def add_reports(self, reports: Iterable[Report]) -> int:
        """Take reports of browsers; returns their number."""
        listed = list(reports)
        self._store.add_reports(listed)
        return self.site.add(listed)

    def reports(self) -> list[Report]:
        """All reports."""
        return self._store.reports()

    def clear(self) -> None:
        """Delete the site, the goals, the settings and the results of the imports."""
        self._store.clear()
        self._take(Settings(), [])

    def forget_imports(self) -> None:
        """Delete the results of the imports."""
        self._store.forget_imports()

    def import_until(self, import_ms: int, reading: Reading | None = None) -> tuple[int, int]:
        """Import what was received before a moment and not imported yet.

        :param reading: None stands for that of the settings.
        :return: the numbers of events and of credited ones.
        """
        done = self._store.imported()
        waiting = [row for row in self._events.received(before_ms=import_ms) if row[0] not in done]
        events = [_received(*row) for row in waiting]
        imported = import_events(events, self.site, self.goals, reading or self.settings.reading, import_ms)
        self._store.add_import([row[0] for row in waiting], imported, import_ms)
        return len(events), len(imported)

    def catch_up(self, now_ms: int) -> None:
        """Import what each midnight before ``now_ms`` should have imported."""
        done = self._store.imported()
        received = [row[5] for row in self._events.received(before_ms=now_ms) if row[0] not in done]
        for midnight in sorted({next_midnight_ms(at) for at in received}):
            if midnight <= now_ms:
                self.import_until(midnight)

    def credits(self) -> list[Credit]:
        """What the imports credited."""
        return self._store.credits()

    def _take(self, settings: Settings, goals: Any) -> None:
        self.settings = settings
        self.goals = Goals(parse_goals(goals), must_still_have_name=settings.goal_must_still_have_name)
        self.site = Site(self._store.reports(), ids_persist=settings.ids_persist)


def _received(_: int, event_name: str, action_id: str, at_ms: int, value: str | None, __: int, body: bytes) -> Received:
    fields = json.loads(body)
    return Received(action_id, event_name, User(fields["userDomain"], fields["userId"]), at_ms, value)
