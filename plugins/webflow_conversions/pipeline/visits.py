"""Queries of the warehouse for attribution: the visits of users, and the moment up to which they are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pandas as pd

from webflow_conversions.errors import Unusable
from webflow_conversions.pipeline.warehouse import Chunk, Warehouse, counting, refusing_connections
from webflow_conversions.rules.attribution import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Coverage, visits_frame
from webflow_conversions.rules.query import Query
from webflow_conversions.rules.timestamps import moments_of
from webflow_conversions.rules.window import to_milliseconds

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for a moment where a query is only looked at."""


@dataclass(frozen=True, kw_only=True)
class Visits:
    """The two queries of ``attribution`` in the configuration."""

    warehouse: Warehouse
    sql: str
    until_sql: str
    history_days: int

    @cached_property
    def columns(self) -> list[str]:
        """The columns of the visits query that count.

        :raises Unusable: if it lacks one, or the database refuses it.
        """
        binds = {"user_ids": [self.warehouse.no_key], "since": _ANY_MOMENT, "until": _ANY_MOMENT}
        return counting(self.warehouse.columns(self._visits, binds), REQUIRED_COLUMNS, OPTIONAL_COLUMNS, self._visits)

    def check(self) -> None:
        """Ask the database whether both queries can work, without reading a visit.

        :raises Unusable: if one lacks a column, or the database refuses it or the connection.
        :raises Unavailable: if the database does not answer.
        """
        with refusing_connections():
            _ = self.columns
            self._until_columns(_ANY_MOMENT)

    def coverage(self, now: datetime) -> Coverage:
        """The period in which the visits are loaded, as the warehouse says at ``now``."""
        chunks: list[Chunk] = []
        columns = self._until_columns(now)
        self.warehouse.read(self._until, {"until": now}, columns, chunks.append)
        rows = sum(len(chunk["complete_until"]) for chunk in chunks)
        if rows != 1:
            raise Unusable(f"The {self._until.at()} returned {rows} rows: let it return one, with one moment.")
        read = {name: moments_of(values).iloc[0] for name, values in chunks[0].items()}
        found = {name: None if pd.isna(value) else int(value) for name, value in read.items()}
        return Coverage.at(
            to_milliseconds(now),
            complete_until_ms=found["complete_until"],
            complete_from_ms=found.get("complete_from"),
            history_days=self.history_days,
        )

    def of(self, user_ids: Sequence[str], since: datetime, until: datetime) -> pd.DataFrame:
        """The visits of users between two moments, in the form that ``rules/attribution.py`` judges by."""
        chunks: list[Chunk] = []
        may_be_asked = self.warehouse.may_hold(self._visits, "user_id")
        columns = self.columns
        asked = [user_id for user_id in user_ids if may_be_asked(user_id)]
        for first in range(0, len(asked), self.warehouse.keys_per_query):
            binds: dict[str, Any] = {
                "user_ids": asked[first : first + self.warehouse.keys_per_query],
                "since": since,
                "until": until,
            }
            self.warehouse.read(self._visits, binds, columns, chunks.append)
        return visits_frame(chunks)

    def _until_columns(self, moment: datetime) -> list[str]:
        return counting(
            self.warehouse.columns(self._until, {"until": moment}),
            ("complete_until",),
            ("complete_from",),
            self._until,
        )

    @cached_property
    def _visits(self) -> Query:
        return Query(self.sql, of="attribution.visits")

    @cached_property
    def _until(self) -> Query:
        return Query(self.until_sql, of="attribution.complete_until")
