"""A run, as its tasks hand it on, and the scope of a run: the conversions that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from webflow_conversions import __version__
from webflow_conversions.errors import Unusable
from webflow_conversions.rules.window import Interval, Window, sendable


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Conversions of one destination's sources in an interval (``ledger/sql/parts/in_scope.sql``).

    A run has one scope for each destination, with the sources that the configuration sends there. Rows of a destination
    that their source no longer uses are in no scope: no push claims them. ``only`` is the action ID of a run for one conversion.
    """

    destination: str
    sources: Sequence[str]
    interval: Interval
    only: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The values that a statement with ``in_scope`` binds."""
        return {
            "destination": self.destination,
            "sources": list(self.sources),
            "start_ms": self.interval.start_ms,
            "end_ms": self.interval.end_ms,
            "only": self.only,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of the Dag: its window, its sources, and how it sends.

    ``id`` is its number in the ledger, ``run_id`` Airflow's name for it.
    ``clock_offset`` is the API's clock minus ours when the run began; None if it was not seen. ``only`` is the action ID of the
    one conversion that the run is about; None for all. ``config_digest`` is that of the configuration that plan read.
    """

    id: int
    run_id: str
    window: Window
    sources: Sequence[str]
    dry_run: bool
    force: bool
    clock_offset: timedelta | None = None
    only: str | None = None
    config_digest: str | None = None

    def planned(self, destination: str, sources: Sequence[str]) -> Scope:
        """The run's whole window."""
        return Scope(destination=destination, sources=sources, interval=self.window.interval, only=self.only)

    def sendable(self, destination: str, sources: Sequence[str], now: datetime) -> Scope:
        """What may be sent at ``now``: the part of the window that is neither older than 2 days nor in the future."""
        interval = self.window.interval & sendable(now, self.clock_offset)
        return Scope(destination=destination, sources=sources, interval=interval, only=self.only)

    def due(self, destination: str, sources: Sequence[str], now: datetime) -> Scope:
        """What should have been sent by ``now``: the part of the window that is not in the future, however old it is."""
        planned = self.window.interval
        interval = Interval(start_ms=planned.start_ms, end_ms=min(planned.end_ms, sendable(now, self.clock_offset).end_ms))
        return Scope(destination=destination, sources=sources, interval=interval, only=self.only)

    def to_json(self) -> dict[str, Any]:
        """For an XCom."""
        return {
            "package": __version__,
            "id": self.id,
            "run_id": self.run_id,
            "window_start": self.window.start.isoformat(),
            "window_end": self.window.end.isoformat(),
            "sources": list(self.sources),
            "dry_run": self.dry_run,
            "force": self.force,
            "config_digest": self.config_digest,
            "clock_offset_seconds": None if self.clock_offset is None else self.clock_offset.total_seconds(),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Out of an XCom.

        :raises Unusable: if another release of this package wrote it.
        """
        planned_by = document.get("package")
        if planned_by != __version__:
            raise Unusable(
                f"This worker has webflow_conversions {__version__}, and the run was planned by {planned_by}: install the same "
                "release on every machine of this Airflow, and clear the run from plan on."
            )
        offset = document["clock_offset_seconds"]
        return cls(
            id=document["id"],
            run_id=document["run_id"],
            window=Window(
                start=datetime.fromisoformat(document["window_start"]), end=datetime.fromisoformat(document["window_end"])
            ),
            sources=document["sources"],
            dry_run=document["dry_run"],
            force=document["force"],
            config_digest=document["config_digest"],
            clock_offset=None if offset is None else timedelta(seconds=offset),
        )
