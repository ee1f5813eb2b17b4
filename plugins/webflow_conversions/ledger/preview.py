"""The table of a preview: a private SQLite database in a temporary file, so that a million conversions need little memory."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import pandas as pd

from webflow_conversions.errors import Unavailable
from webflow_conversions.ledger.copy import listed
from webflow_conversions.ledger.session import statement
from webflow_conversions.pipeline.extraction import Met
from webflow_conversions.pipeline.preview import ORDER, Credited, Example, Foreseen, Outcome
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import Attribution
from webflow_conversions.rules.event import Event

CACHE_KIBIBYTES = 32 * 1024
"""Memory for pages of the database; the rest of it is in the file."""

_MONEY = ("value", "said_value")
_COLUMNS = (
    "action_id", "event_name", "conversion_id", "action_timestamp_ms", "value", "identity_key", "user_domain", "user_id", "state",
    "reason", "detail", "attempts_in_doubt", "rank", "alike", "said_action_timestamp_ms", "said_value", "said_identity_key",
    "said_detail",
)  # fmt: skip
_VERDICT = (
    "id", "attribution", "attribution_reason", "visit", "minutes_from_activity", "state", "reason", "user_domain", "user_id",
)  # fmt: skip


class TemporaryTable:
    """The conversions of one preview, see :class:`~webflow_conversions.pipeline.dry_run.PreviewTable`.

    SQLite removes the name of the file as soon as it has opened it, so nobody else can read it, and it is gone with the process.
    Not for use by two threads at a time.
    """

    def __init__(self) -> None:
        with _telling():
            self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIBIBYTES}"):
                self._database.execute(f"PRAGMA {pragma}")
            for name in ("create_conversions", "create_arrived", "create_seen"):
                self._database.execute(statement(f"preview/{name}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the table."""
        self._database.close()

    def add(self, conversions: pd.DataFrame) -> Met:
        """Add what a chunk of the source foresees; a conversion that is there already stays, or gives way to the better row."""
        with self._transaction():
            self._stage(conversions)
            again = self._fetch("meet")
            self._for_each("count_alike", [dict(row) for row in again if row["is_alike"]])
            self._for_each("remove", [{"id": row["id"]} for row in again if row["is_better"] and not row["is_alike"]])
            self._database.execute(statement("preview/take_arrived"), {"is_unseen": 0})
        return sum((_met(row) for row in again), Met())

    def see(self, action_ids: Sequence[str]) -> None:
        """Keep in mind what the source returned, whatever became of it."""
        with self._transaction():
            self._for_each("add_seen", [{"action_id": action_id} for action_id in action_ids])

    def unseen(self, conversions: pd.DataFrame) -> pd.DataFrame:
        """Those of the conversions that the source did not return."""
        is_seen = [bool(self._fetch("is_seen", action_id=action_id)[0]["is_seen"]) for action_id in conversions["action_id"]]
        return conversions[[not seen for seen in is_seen]].reset_index(drop=True)

    def add_unseen(self, conversions: pd.DataFrame) -> None:
        """Add conversions that the source did not return."""
        with self._transaction():
            self._stage(conversions)
            self._database.execute(statement("preview/take_arrived"), {"is_unseen": 1})

    def unsettled(self, now: datetime, page_rows: int) -> Iterator[pd.DataFrame]:
        """What would be sent, in pages, to be judged."""
        after = 0
        while rows := self._fetch("page_of_ready", after=after, rows=page_rows):
            after = rows[-1]["id"]
            yield pd.DataFrame([dict(row) for row in rows], dtype=object).astype(
                {"id": "int64", "action_timestamp_ms": "int64", "attempts_in_doubt": "int64"}
            )

    def record(self, verdicts: pd.DataFrame, now: datetime) -> None:
        """Record verdicts, and what they change."""
        with self._transaction():
            self._for_each("record_verdict", _records(verdicts, _VERDICT))

    def outcomes(self, examples: int) -> list[Outcome]:
        """How many conversions would have each state and reason, in the order in which people read them."""
        of = self._examples("examples_of_outcomes", ("state", "reason"), examples)
        found = [
            Outcome(
                state=row["state"],
                reason=row["reason"],
                amount=_amount(row),
                unseen=_amount(row, "unseen_"),
                examples=of[row["state"], row["reason"]],
            )
            for row in self._fetch("outcomes")
        ]
        places = {str(state): place for place, state in enumerate(ORDER)}
        return sorted(found, key=lambda one: (places[one.state], -one.amount.rows, one.reason or ""))

    def credited(self, examples: int) -> list[Credited]:
        """How many of the conversions to send have each verdict, the best one first."""
        of = self._examples("examples_of_credited", ("attribution", "reason"), examples)
        found = [
            Credited(
                attribution=row["attribution"],
                reason=row["reason"],
                amount=_amount(row),
                examples=of[row["attribution"], row["reason"]],
            )
            for row in self._fetch("credited")
        ]
        places = {verdict: place for place, verdict in enumerate([*map(str, Attribution), None])}
        return sorted(found, key=lambda one: (places[one.attribution], -one.amount.rows, one.reason or ""))

    def conversions(self) -> Iterator[Foreseen]:
        """All conversions, in the order in which they came."""
        for row in self._fetch("conversions"):
            found = {name: row[name] for name in Foreseen._fields if name in row.keys()}
            yield Foreseen(**{**found, "value": _money(row["value"])})

    def first_events(self, events: int) -> list[Event]:
        """The first events to be sent, those that expire first."""
        rows = self._fetch("first_events", events=events)
        return [Event(**{**row, "value": _money(row["value"])}) for row in map(dict, rows)]

    def _stage(self, conversions: pd.DataFrame) -> None:
        self._database.execute(statement("preview/clear_arrived"))
        self._for_each("add_arrived", _records(conversions, _COLUMNS))

    def _examples(self, name: str, key: tuple[str, str], examples: int) -> dict[tuple[Any, Any], list[Example]]:
        found: dict[tuple[Any, Any], list[Example]] = {}
        for row in self._fetch(name, examples=examples):
            found.setdefault((row[key[0]], row[key[1]]), []).append(
                Example(
                    conversion_id=row["conversion_id"],
                    event_name=row["event_name"],
                    action_timestamp_ms=row["action_timestamp_ms"],
                    value=_money(row["value"]),
                    detail=row["detail"],
                )
            )
        return found

    def _fetch(self, name: str, **parameters: Any) -> list[sqlite3.Row]:
        with _telling():
            return self._database.execute(statement(f"preview/{name}"), parameters).fetchall()

    def _for_each(self, name: str, parameters: list[Mapping[str, Any]]) -> None:
        self._database.executemany(statement(f"preview/{name}"), parameters)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _telling():
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"The temporary file of the preview cannot be written (is there room in $TMPDIR?): {error}.") from error


def _records(frame: pd.DataFrame, columns: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """The rows of a frame as parameters; money in cents."""
    values = [
        [None if value is None else int(value * 100) for value in listed(frame[name])] if name in _MONEY else listed(frame[name])
        for name in columns
    ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _met(row: sqlite3.Row) -> Met:
    """What a row of a chunk met, as ``ledger/sql/extraction/merge_staged.sql`` counts it."""
    stands = row["is_better"] and not row["is_alike"]
    dropped = _money(row["value_before"] if stands else row["value"]) or Decimal(0)
    conflicting = 0 if row["is_alike"] else row["alike_before"] if stands else row["alike"]
    return Met(again=Amount(rows=1, value=dropped), conflicting=Amount(rows=conflicting, value=conflicting * dropped))


def _money(cents: int | None) -> Decimal | None:
    return None if cents is None else Decimal(cents).scaleb(-2)


def _amount(row: sqlite3.Row, prefix: str = "") -> Amount:
    cents = row[f"{prefix}millions"] * 1_000_000 + row[f"{prefix}rest"]
    return Amount(rows=row[f"{prefix}rows"], value=Decimal(cents).scaleb(-2))
