"""Queries of the warehouse: a source's conversions, and the users behind identity keys."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from webflow_conversions.errors import NotLetIn, Unusable
from webflow_conversions.rules import evaluation, identity
from webflow_conversions.rules.identity import UnreadableTimes, choose_users, known_users_frame, sendable_users
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.rules.query import Query
from webflow_conversions.rules.text import variants
from webflow_conversions.rules.window import Window

log = logging.getLogger(__name__)

Chunk = dict[str, pd.Series]


class Warehouse(Protocol):
    """A database that is read in chunks."""

    @property
    def keys_per_query(self) -> int:
        """How many values an expanding bind may hold."""

    @property
    def no_key(self) -> str | None:
        """What stands for an identity key where a query is only looked at."""

    def names(self, sql: str) -> frozenset[str]:
        """The binds that a query names."""

    def columns(self, sql: str, parameters: Mapping[str, Any]) -> list[str]:
        """The columns that a query returns, in lower case; one that is there twice is named twice."""

    def may_hold(self, sql: str, column: str) -> Callable[[str], bool]:
        """Whether a column of a query, whose columns were asked for, could ever be written as a given text."""

    def unfit(self, sql: str, column: str, use: str) -> str | None:
        """The name of a column's type if it is unfit for a use (``Use`` of ``warehouse/types.py``), of a query as above."""

    def type_names(self, sql: str) -> dict[str, str]:
        """The types of the columns in the database's words, of a query as above; empty where there are none."""

    def read(self, sql: str, parameters: Mapping[str, Any], columns: Sequence[str], handle: Callable[[Chunk], None]) -> None:
        """Call back with one chunk of rows after the other."""


class SourceRows(Protocol):
    """The rows of a source."""

    def check(self) -> None:
        """Refuse a query that cannot work, without reading a row."""

    def read(self, handle: Callable[[Chunk], None]) -> None:
        """Call back with one chunk of source rows after the other."""


class _EnoughError(Exception):
    """Ends the reading of a query; the database is told by the end of the connection."""


@dataclass(frozen=True, kw_only=True)
class SourceQuery:
    """The query of one source, for the conversions of a window.

    ``also_required`` are the columns for which the configuration has no value, ``zone`` is that of local times. Reading ends
    after ``most_rows`` rows; None for all.
    """

    warehouse: Warehouse
    name: str
    sql: str
    window: Window
    also_required: Sequence[str] = ()
    zone: str | None = None
    most_rows: int | None = None

    @cached_property
    def columns(self) -> list[str]:
        """The columns of the query that count.

        :raises Unusable: if it lacks one, or the database refuses it.
        """
        found = self.warehouse.columns(self.query, self._binds)
        for name in self.also_required:
            if name not in found:
                raise Unusable(
                    f"The {self.query.at()} does not return {name}, and the configuration gives none: "
                    "add it to the one or the other."
                )
        columns = counting(found, evaluation.REQUIRED_COLUMNS, evaluation.OPTIONAL_COLUMNS, self.query)
        uses = dict.fromkeys(("conversion_id", "identity_key", "event_name"), "id") | {"occurred_at": "moment"}
        _check_types(self.warehouse, self.query, columns, uses)
        if self.zone is not None and self.zone not in _NAMES_OF_UTC:
            _check_types(self.warehouse, self.query, columns, {"occurred_at": "local time"})
        return columns

    @cached_property
    def query(self) -> Query:
        """The SQL with its name."""
        return Query(self.sql, of=f"source {self.name}")

    def check(self) -> None:
        """Ask the database whether the query can work, without reading a row.

        :raises Unusable: if it lacks a column, or the database refuses it or the connection.
        :raises Unavailable: if the database does not answer.
        """
        with refusing_connections():
            _ = self.columns

    def read(self, handle: Callable[[Chunk], None]) -> None:
        """Call back with one chunk of source rows after the other."""
        columns, left = self.columns, self.most_rows

        def take(chunk: Chunk) -> None:
            nonlocal left
            handle({name: values.iloc[:left] for name, values in chunk.items()})
            if left is not None:
                left -= min(left, len(chunk[columns[0]]))
            if left == 0:
                raise _EnoughError

        with suppress(_EnoughError):
            self.warehouse.read(self.query, self._binds, columns, take)

    @property
    def _binds(self) -> dict[str, Any]:
        return {"window_start": self.window.start, "window_end": self.window.end}


@dataclass(frozen=True, kw_only=True)
class KnownUsers:
    """The query for known users. ``unreadable`` collects its times that could not be read."""

    warehouse: Warehouse
    sql: str
    personal_data: PersonalData
    unreadable: UnreadableTimes = field(default_factory=UnreadableTimes)

    @cached_property
    def columns(self) -> list[str]:
        """The columns of the query that count.

        :raises Unusable: if it lacks one, or the database refuses it.
        """
        found = self.warehouse.columns(self.query, {"identity_keys": [self.warehouse.no_key]})
        if self.warehouse.may_hold(self.query, "identity_key")(""):
            self._check_with_text()
        for name in identity.FORMER_COLUMNS:
            if name in found:
                raise Unusable(
                    f"The {self.query.at()} returns {name}, which is no longer read: it rejected conversions that count. "
                    "Leave it out of the SELECT; attribution.visits tells what will count (docs/attribution.md)."
                )
        columns = counting(found, identity.REQUIRED_COLUMNS, (), self.query)
        uses = dict.fromkeys(columns, "time") | {"identity_key": "key", "user_domain": "id", "user_id": "id"}
        _check_types(self.warehouse, self.query, columns, uses)
        return columns

    @cached_property
    def query(self) -> Query:
        """The SQL with its name."""
        return Query(self.sql, of="known_users")

    @property
    def reads_everything(self) -> bool:
        """Whether the query returns all users, whichever keys are asked for: it works, and takes long where they are many."""
        return "identity_keys" not in self.warehouse.names(self.query)

    def check(self) -> None:
        """Ask the database whether the query can work, without reading a row.

        :raises Unusable: if it lacks a column, or the database refuses it or the connection.
        :raises Unavailable: if the database does not answer.
        """
        with refusing_connections():
            _ = self.columns
        if self.reads_everything:
            log.warning(
                "The %s does not use :identity_keys, so all users are read whenever some are looked up: "
                "add WHERE … IN :identity_keys.",
                self.query.at(),
            )

    def _check_with_text(self) -> None:
        try:
            self.warehouse.columns(self.query, {"identity_keys": [""]})
        except Unusable as error:
            raise Unusable(
                f"The {self.query.at()} returns identity_key as text, and compares :identity_keys with something else: "
                "compare CAST(… AS text) with :identity_keys, or return the column as it is."
            ) from error

    def of(self, conversions: pd.DataFrame) -> pd.DataFrame:
        """The users of those of the conversions for which one is known, see :func:`choose_users`."""
        known = self._known(conversions["identity_key"].unique().tolist(), self.unreadable)
        return choose_users(conversions, known, self.personal_data)

    def all_of(self, keys: Sequence[str]) -> pd.DataFrame:
        """All users of identity keys that can be sent: ``identity_key``, ``user_domain``, ``user_id``."""
        return sendable_users(self._known(keys), self.personal_data)

    def near(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that are written a little differently than a known one, see :func:`variants`."""
        written = {key: variants(key) for key in keys}
        known = set(self._known(sorted(set().union(*written.values())))["identity_key"])
        return {key for key, others in written.items() if others & known}

    def _known(self, keys: Sequence[str], unreadable: UnreadableTimes | None = None) -> pd.DataFrame:
        """The known users of these keys."""
        columns, may_be_known = self.columns, self.warehouse.may_hold(self.query, "identity_key")
        asked = [key for key in keys if may_be_known(key)]
        at_once = len(asked) if self.reads_everything else self.warehouse.keys_per_query
        chunks: list[Chunk] = []
        for first in range(0, len(asked), at_once or 1):
            binds = {"identity_keys": asked[first : first + at_once]}
            self.warehouse.read(self.query, binds, columns, chunks.append)
        return known_users_frame(chunks, unreadable)


def counting(found: Sequence[str], required: Sequence[str], optional: Sequence[str], query: Query) -> list[str]:
    """Those of the columns of a query that count.

    :raises Unusable: if one is missing, or is there twice.
    """
    missing = [name for name in required if name not in found]
    if missing:
        raise Unusable(f"The {query.at()} does not return {' and '.join(missing)}: add it to the SELECT.")
    counted = [name for name in (*required, *optional) if name in found]
    twice = [name for name in counted if found.count(name) > 1]
    if twice:
        raise Unusable(
            f"The {query.at()} returns {' and '.join(twice)} twice: name the columns in the SELECT one by one in place of *, "
            "each of them once; small and capital letters make no difference."
        )
    return counted


@contextmanager
def refusing_connections() -> Iterator[None]:
    """Make of a connection that is wrong a refusal, for the task that tries it first.

    A later task tries again instead: the connection has worked in this run, so its password may just be changed.

    :raises Unusable: instead of NotLetIn.
    """
    try:
        yield
    except NotLetIn as error:
        raise Unusable(str(error)) from error


_NAMES_OF_UTC = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})

_MENDED = {
    "id": "which has no text that is the same everywhere: return CAST({column} AS text) (AS CHAR on MySQL and MariaDB)",
    "key": "which does not equal a text: compare CAST({column} AS text) with :identity_keys (bytes in hexadecimal, such as "
    "encode({column}, 'hex')), and return the same",
    "local time": "which is read in UTC: set timestamps to {{kind: local, timezone: UTC}} for this source",
    "moment": "which is no time to the second: return a timestamp, or an epoch as a whole number or in double precision, or NULL",
    "time": "which is no time: return a timestamp, a date or an epoch, or NULL",
}


def _check_types(warehouse: Warehouse, query: Query, columns: Sequence[str], uses: Mapping[str, str]) -> None:
    for column in columns:
        use = uses.get(column)
        type_ = use and warehouse.unfit(query, column, use)
        if use and type_:
            raise Unusable(f"The {query.at()} returns {column} as {type_}, {_MENDED[use].format(column=column)}.")
