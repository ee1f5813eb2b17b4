"""The configuration file: sources, known users, delivery, guards and notices.

``include/conversions.yaml``, or the file that ``WEBFLOW_CONVERSIONS_CONFIG`` names, see :func:`default_path`; SQL files lie in
an ``sql/`` folder beside it. A mistake is one :class:`~webflow_conversions.errors.Unusable` sentence.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from webflow_conversions.errors import Unusable
from webflow_conversions.files import parse, read_text, why
from webflow_conversions.rules.event import is_event_name
from webflow_conversions.rules.personal_data import PersonalData, PersonalDataInIds
from webflow_conversions.rules.query import Query
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.source import Ambiguous, Goal, Nonexistent, SourceRules, TimestampKind, is_zone

ENVIRONMENT_VARIABLE = "WEBFLOW_CONVERSIONS_CONFIG"
_FILE = Path("include") / "conversions.yaml"
_REMEDY = f": put it there, or name another in {ENVIRONMENT_VARIABLE}"


def _event_name(name: str) -> str:
    if not is_event_name(name):
        raise ValueError("an event name has 1 to 40 printable ASCII characters, no space and no e-mail address")
    return name


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("this is no name of the IANA time zone database, such as Europe/Berlin")
    return name


def _sql_path(path: str) -> str:
    if not path.isprintable() or not path.lower().endswith(".sql"):
        raise ValueError("name a file that ends in .sql, below the folder sql beside the configuration")
    return path


def moment_written_out(moment: Any) -> Any:
    """The moment as it was given, if it is a text that begins with a date; a validator."""
    if moment is not None and not (isinstance(moment, str) and re.match(r"\d{4}-\d\d-\d\d", moment)):
        raise ValueError("write the moment as 2026-01-05T09:00:00Z")
    return moment


EventName = Annotated[str, AfterValidator(_event_name)]
ZoneName = Annotated[str, AfterValidator(_zone)]
_SOURCE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}$"
_CONNECTION_ID = r"^[\w.\-]{1,200}$"
_CURRENCY = r"^[A-Z]{3}$"
_NOTIFIER = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
_FORMS = {
    _SOURCE_NAME: "a source's name has 1 to 60 letters from A to Z, digits and _ . -",
    _CONNECTION_ID: "name a connection of Airflow by its ID, which has letters, digits and _ . -",
    _CURRENCY: "write a currency as three capital letters, such as EUR",
    _NOTIFIER: "name a notifier by its module and class, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier",
}
"""The patterns of texts, and what they ask for, in words."""

SourceName = Annotated[str, StringConstraints(pattern=_SOURCE_NAME)]
ConnectionId = Annotated[str, StringConstraints(pattern=_CONNECTION_ID)]
SqlPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_sql_path)]
Moment = Annotated[AwareDatetime, BeforeValidator(moment_written_out)]
Currency = Annotated[str, StringConstraints(pattern=_CURRENCY)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InDoubt(StrEnum):
    """The treatment of a conversion whose answer was lost (``delivery.in_doubt``)."""

    RESEND = "resend"
    HOLD = "hold"


class Mode(StrEnum):
    """Whether conversions leave (``delivery.mode``): in a rehearsal everything runs, and nothing is sent."""

    LIVE = "live"
    REHEARSE = "rehearse"


class Timestamps(_Part):
    """The kind and zone of a source's ``occurred_at``."""

    kind: TimestampKind
    timezone: ZoneName | None = None
    ambiguous: Ambiguous = Ambiguous.LATER
    nonexistent: Nonexistent = Nonexistent.OFFSET_BEFORE


class Source(_Part):
    """A query that returns conversions; ``returns_all``: every row of ``[window_start, window_end)``, whatever changed."""

    name: SourceName
    sql: SqlPath
    event_name: EventName | None = None
    timestamps: Timestamps
    personal_data: PersonalDataInIds = PersonalDataInIds.REJECT
    warehouse_conn_id: ConnectionId = "warehouse"
    webflow_conn_id: ConnectionId = "webflow_default"
    returns_all: Annotated[bool, Field(strict=True)] = False

    @property
    def columns_instead(self) -> list[str]:
        """The columns that its query has to return, since the configuration does not set them."""
        is_local = self.timestamps.kind is TimestampKind.LOCAL and self.timestamps.timezone is None
        return [*(["event_name"] if self.event_name is None else []), *(["timezone"] if is_local else [])]


class KnownUsers(_Part):
    """The query that returns the users whom ``wf.setUserId()`` made known."""

    sql: SqlPath
    warehouse_conn_id: ConnectionId = "warehouse"
    personal_data: PersonalData = PersonalData.REJECT


class GoalPeriod(_Part):
    """The time in which a custom goal has an event name."""

    event_name: EventName
    valid_from: Moment | None = None
    valid_to: Moment | None = None

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise ValueError("valid_from must lie before valid_to")
        return self


class Delivery(_Part):
    """Settings of the pushes."""

    mode: Mode = Mode.LIVE
    workers: Annotated[int, Field(ge=1, le=64, strict=True)] = 2
    in_doubt: InDoubt = InDoubt.RESEND
    attempts_per_run: Annotated[int, Field(ge=1, le=100, strict=True)] = 6
    patience_seconds: Annotated[float, Field(gt=0, le=86_400, strict=True)] = 900

    @property
    def is_rehearsal(self) -> bool:
        """Whether nothing may be sent."""
        return self.mode is Mode.REHEARSE


class AttributionSettings(_Part):
    """The queries that tell whether Webflow will credit a conversion, and what follows from the verdict."""

    visits: SqlPath
    complete_until: SqlPath
    warehouse_conn_id: ConnectionId = "warehouse"
    reading: Reading = Reading.STRICT
    unknown: Literal["send", "hold"] = "send"
    will_not_count: Literal["send", "skip"] = "send"
    history_days: Annotated[int, Field(ge=1, le=365, strict=True)] = 30


class Readback(_Part):
    """What Webflow itself shows of the goals, read after its import."""

    webflow_data_conn_id: ConnectionId = "webflow_data"
    goals: dict[EventName, Annotated[str, StringConstraints(min_length=1)]] = {}
    days: Annotated[int, Field(ge=1, le=100, strict=True)] = 7


class Guards(_Part):
    """Limits of the guards, which stop a run before it sends; null switches a guard off."""

    volume_factor: Annotated[float, Field(gt=1, strict=True)] | None = 5
    value_factor: Annotated[float, Field(gt=1, strict=True)] | None = 10
    rejected_share: Share | None = 0.5
    min_rows: Annotated[int, Field(ge=1, strict=True)] = 200
    empty_source: bool = True
    withdrawn_share: Share | None = 0.5
    lost_user_share: Share | None = 0.5
    conflicting_share: Share | None = 0.05
    fall_factor: Annotated[float, Field(gt=1, strict=True)] | None = 4
    fall: Literal["note", "attention"] = "note"


NoticeOn = Literal["failed", "attention", "deadline", "recovered"]


class NoticeTo(_Part):
    """An Airflow notifier by its dotted path, and what it is told: which kinds of notices, of which sources (null: all).

    Its arguments may hold ``{{ subject }}``, ``{{ message }}``, ``{{ html }}``, ``{{ severity }}``, ``{{ cause }}``,
    ``{{ remedy }}`` and ``{{ link }}``.
    """

    notifier: Annotated[str, StringConstraints(pattern=_NOTIFIER)]
    arguments: dict[str, Any] = {}
    on: Annotated[list[NoticeOn], Field(min_length=1)] = ["failed", "attention", "deadline", "recovered"]
    sources: Annotated[list[SourceName], Field(min_length=1)] | None = None


class Configuration(_Part):
    """The whole file."""

    sources: Annotated[list[Source], Field(min_length=1)]
    known_users: KnownUsers
    goals: list[GoalPeriod] | None = None
    delivery: Delivery = Delivery()
    guards: Guards = Guards()
    attribution: AttributionSettings | None = None
    readback: Readback | None = None
    notices: list[NoticeTo] = []
    retention_days: Annotated[int, Field(ge=31, le=36_500, strict=True)] = 90
    people_retention_days: Annotated[int, Field(ge=3, le=36_500, strict=True)] = 30
    currency: Currency | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, times in Counter(source.name for source in self.sources).items() if times > 1]
        if twice:
            raise ValueError(f"the source name {twice[0]!r} is used twice")
        return self

    @model_validator(mode="after")
    def _notices_are_of_its_sources(self) -> Self:
        known = {source.name for source in self.sources}
        for number, notice in enumerate(self.notices, 1):
            unknown = [name for name in notice.sources or () if name not in known]
            if unknown:
                raise ValueError(f"notices[{number}].sources names {unknown[0]!r}, and there is no such source")
        return self

    @property
    def sql_files(self) -> set[str]:
        """The SQL files that it names, relative to the folder ``sql``."""
        found = {self.known_users.sql, *(source.sql for source in self.sources)}
        return found | ({self.attribution.visits, self.attribution.complete_until} if self.attribution else set())

    def source(self, name: str) -> Source:
        """The source of this name.

        :raises Unusable: if there is none.
        """
        for source in self.sources:
            if source.name == name:
                return source
        names = ", ".join(source.name for source in self.sources)
        raise Unusable(f"There is no source {name!r} in the configuration: choose from {names}.")

    def chosen(self, names: Sequence[str] | None) -> list[str]:
        """The names of the given sources, each once; all sources if none is given.

        :raises Unusable: if there is no source of a name.
        """
        return [self.source(name).name for name in dict.fromkeys(names or [source.name for source in self.sources])]

    def rules(self, source: Source) -> SourceRules:
        """The settings of a source that the rules use."""
        return SourceRules(
            destination=source.webflow_conn_id,
            source=source.name,
            event_name=source.event_name,
            kind=source.timestamps.kind,
            timezone=source.timestamps.timezone,
            ambiguous=source.timestamps.ambiguous,
            nonexistent=source.timestamps.nonexistent,
            personal_data=source.personal_data,
            goals=None if self.goals is None else [Goal(**dict(goal)) for goal in self.goals],
        )

    def destinations(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """The names of the given sources by their destination."""
        found: dict[str, list[str]] = {}
        for name in sources:
            found.setdefault(self.source(name).webflow_conn_id, []).append(name)
        return found


def default_path(dags_folder: str, dag_file: str | None = None) -> Path:
    """The file that ``WEBFLOW_CONVERSIONS_CONFIG`` names, else the ``include/conversions.yaml`` that is nearest to a Dag's file.

    The nearest: in the folder of the Dag's file, then beside that folder, then beside Airflow's Dags folder if the Dag lies below
    it. Without any, the path beside the folder of the Dag's file. Without a Dag, the one beside Airflow's Dags folder.

    :param dag_file: a Dag in a zip archive lies where the archive does.
    :raises Unusable: if none is there, and the Dag is in a zip archive, where it cannot be.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    beside_all = Path(dags_folder).parent / _FILE
    if dag_file is None:
        return beside_all
    archive = next((parent for parent in Path(dag_file).parents if parent.is_file()), None)
    folder = (archive or Path(dag_file)).parent
    places = [folder / _FILE, folder.parent / _FILE]
    if folder.resolve().is_relative_to(Path(dags_folder).resolve()):
        places.append(beside_all)
    found = next(filter(_is_there, places), None)
    if found is None and archive is not None:
        raise Unusable(
            f"The Dag lies in the archive {archive}, and its configuration cannot: put it at {places[1]}, with its sql folder, "
            f"or name another place in {ENVIRONMENT_VARIABLE}."
        )
    return found or places[1]


def _is_there(path: Path) -> bool:
    """Whether there is a file. One in a folder that is closed to this process is: reading it says so."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def digest(*parts: Any) -> str:
    """A short fingerprint of the given settings: another fingerprint means that a setting was changed."""
    text = json.dumps(parts, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ConfigurationFile:
    """A configuration and the SQL beside it, read from disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.configuration = parse(path, Configuration, "configuration", remedy=_REMEDY, forms=_FORMS)

    @cached_property
    def digest(self) -> str:
        """A short hash of the content of the file and its SQL files, wherever they lie, without those that cannot be read."""
        files = {"": self.path, **{name: self.path.parent / "sql" / name for name in self.configuration.sql_files}}
        contents = {}
        for name, path in files.items():
            with suppress(OSError):
                contents[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return digest(contents)

    def sql(self, relative: str) -> Query:
        """The text of an SQL file, line for line, without a byte order mark.

        The folder may be a link, as in a Git bundle or a Kubernetes volume; what lies in it may be one to another place in it.

        :raises Unusable: if it lies elsewhere, or is missing, unreadable or empty.
        """
        folder = self.path.parent / "sql"
        path = folder / relative
        name = f"The SQL file {path} that {self.path.name} names"
        try:
            real = Path(os.path.realpath(path))
            if not real.is_relative_to(os.path.realpath(folder)):
                raise Unusable(f"{name} lies outside the folder {folder}: put it there.")
            text = read_text(real, name)
        except OSError as error:
            raise Unusable(f"{name} cannot be read: {why(error)}.") from error
        if "\0" in text:
            raise Unusable(f"{name} holds NUL characters, as UTF-16 does: save it as UTF-8.")
        if not text.strip():
            raise Unusable(f"{name} is empty.")
        return Query(text.replace("\r\n", "\n").replace("\r", "\n"), file=f"sql/{relative}")
