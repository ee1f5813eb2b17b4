"""The night as one value: the runs that Airflow knows, the stage, the prospects of what is ready."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from webflow_conversions.pipeline.causes import Level as VerdictLevel
from webflow_conversions.rules.amounts import Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowRun:
    """A run as Airflow knows it; ``failed_tasks`` by task ID.

    ``dry_run`` and ``is_partial`` (for a date, or for some sources) are what it was asked for.
    """

    run_id: str
    run_type: str
    state: str
    run_after: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failed_tasks: Sequence[str] = ()
    dry_run: bool = False
    is_partial: bool = False

    @property
    def is_active(self) -> bool:
        """Whether it is still going, or is to."""
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class DagNow:
    """The Dag as Airflow knows it; ``runs`` in the order of their due time, the newest first."""

    is_there: bool = True
    is_paused: bool = False
    next_run_at: datetime | None = None
    runs: Sequence[AirflowRun] = field(default_factory=list)


class Stage(StrEnum):
    """What goes on in Airflow; exactly one holds at a time."""

    NO_DAG = "no_dag"
    STARTING = "starting"
    READING = "reading"
    SENDING = "sending"
    CLOSING = "closing"
    PAUSED = "paused"
    OVERDUE = "overdue"
    RUN_COMES = "run_comes"
    """A run starts before the import."""
    NO_RUN_COMES = "no_run_comes"
    """The next run starts after the import, or none is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospects:
    """What becomes of the conversions that are ready, if nobody does anything; each is in exactly one part."""

    in_time: Amount = field(default_factory=Amount)
    night_after: Amount = field(default_factory=Amount)
    """They go out after the import, and are imported the night after."""
    lost: Amount = field(default_factory=Amount)
    """They grow older than 2 days before they go out."""

    @property
    def total(self) -> Amount:
        """All that is ready."""
        return self.in_time + self.night_after + self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """Where the night stands.

    ``tonight`` is the level of tonight's whole runs that have ended, ``before`` of the last one of an earlier night; None if
    there is none. ``last_failed``: the last whole run failed for a reason that still holds; ``is_tonights``: it is of tonight.
    ``is_rehearsal``: the run at work sends nothing, or without one the next will not; ``was_rehearsed``: tonight's last whole run
    sent nothing.
    ``accepted`` since midnight UTC, ``accepted_before`` on the day before. ``troubles`` of conversions that are tried again.
    """

    stage: Stage
    prospects: Prospects = field(default_factory=Prospects)
    tonight: VerdictLevel | None = None
    before: VerdictLevel | None = None
    last_failed: bool = False
    is_tonights: bool = False
    is_rehearsal: bool = False
    was_rehearsed: bool = False
    troubles: Mapping[str, Amount] = field(default_factory=dict)
    accepted: Amount = field(default_factory=Amount)
    accepted_before: Amount = field(default_factory=Amount)
    empty_sources: Sequence[str] = ()
    done_at: datetime | None = None
    rows_per_second: float = 0
    pauses: Mapping[str, datetime] = field(default_factory=dict)
    next_run_at: datetime | None = None
    has_runs: bool = True
    now: datetime
    import_at: datetime
    currency: str | None = None
