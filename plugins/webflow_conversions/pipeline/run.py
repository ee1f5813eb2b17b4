"""What a run is, as its tasks hand it on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from webflow_conversions import __version__
from webflow_conversions.errors import Unusable
from webflow_conversions.rules.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of the Dag: what it may send, and how.

    ``id`` is its number in the ledger, ``run_id`` Airflow's name for it.
    ``clock_offset`` is the API's clock minus ours when the run began; None if it was not seen.
    """

    id: int
    run_id: str
    window: Window
    sources: Sequence[str]
    dry_run: bool
    force: bool
    clock_offset: timedelta | None = None

    def latest(self, now: datetime) -> datetime:
        """The moment after which a conversion is in the future: the more careful of our clock and the API's."""
        return now + min(self.clock_offset or timedelta(), timedelta())

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
            clock_offset=None if offset is None else timedelta(seconds=offset),
        )
