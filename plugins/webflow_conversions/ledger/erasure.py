"""Removal of people from the ledger: what is kept about them, and taking it away so that nothing is sent a second time.

A conversion of a removed person stays as a tombstone: its action ID, state, moment and value. The merge of extractions leaves
tombstones alone (``ledger/sql/extraction/merge_staged.sql``).
"""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any

from psycopg2.extras import Json

from webflow_conversions.ledger.retention import hashed_user_id
from webflow_conversions.ledger.session import Session, statement
from webflow_conversions.rules.states import State
from webflow_conversions.rules.written import written_forms

FORGOTTEN = "forgotten"
"""The text in place of a removed value."""

_TYPED = frozenset({"conversion", "written", "begins"})
"""Parts of a filter that somebody typed (``ledger/selection.py``)."""

_BATCH_ROWS = 1_000
"""Conversions of one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who is to be removed: ``users`` by domain and ID, and everybody who has one of the identity keys."""

    users: Sequence[tuple[str, str]] = ()
    identity_keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptConversion:
    """A conversion of the person, with all that leads to the person. ``user_id`` and ``identity_key`` may be hashes."""

    id: int
    source: str
    event_name: str | None
    conversion_id: str | None
    action_id: str
    action_timestamp_ms: int | None
    value: Decimal | None
    identity_key: str | None
    user_domain: str | None
    user_id: str | None
    state: State
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the ledger keeps about people: conversions, and the number of other records that hold something about them.

    ``extracted`` are source rows kept with an extraction, ``actions`` entries of the action log, ``runs`` records of runs.
    """

    conversions: Sequence[KeptConversion] = ()
    extracted: int = 0
    history: int = 0
    actions: int = 0
    runs: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not (self.conversions or self.actions or self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a removal did: ``conversions`` are tombstones now; ``busy`` ones were left alone, since a push or another session
    holds them; ``wait_minutes`` until the last of these pushes has to have ended.
    """

    conversions: int
    busy: int
    wait_minutes: int


class Erasure:
    """The removal of people from a ledger."""

    def __init__(self, session: Session, people: People) -> None:
        self._session = session
        self._people = people

    def kept(self) -> Kept:
        """What the ledger keeps about the people; nothing is changed."""
        conversions = self._conversions()
        extracted = history = 0
        for ids in _batches([one.id for one in conversions]):
            (found,) = self._session.fetch("erasure/count_traces", {"ids": ids})
            extracted, history = extracted + found.extracted, history + found.history
        return Kept(
            conversions=conversions,
            extracted=extracted,
            history=history,
            actions=len(self._actions(conversions)),
            runs=len(self._runs(conversions)),
        )

    def remove(self, now: datetime) -> Removed:
        """Remove the people.

        The action log and the records of runs come first: they are found by the values of the conversions, so what is cut off
        in the middle is found again by the same call. No row that a push holds is touched. The results of all dry runs go, since
        they name conversions that the ledger does not have.

        :raises Unavailable: if the ledger went away; what was done until then is done.
        """
        conversions = self._conversions()
        self._session.execute("erasure/forget_previews", {})
        for number, document in self._actions(conversions):
            self._session.execute("erasure/forget_action", {"id": number, "filter": Json(document)})
        for number, record in self._runs(conversions):
            self._session.execute("erasure/forget_run", {"id": number, **record})
        removed, busy = 0, list[int]()
        for ids in _batches([one.id for one in conversions]):
            with self._session.transaction() as cursor:
                cursor.execute(statement("erasure/lock_extracted"))
                cursor.execute(statement("erasure/lock"), {"ids": ids})
                free = [row.id for row in cursor.fetchall()]
                for name in ("forget_extracted", "forget_history", "forget_conversions"):
                    cursor.execute(statement(f"erasure/{name}"), {"ids": free, "now": now})
            removed += len(free)
            busy += set(ids) - set(free)
        return Removed(conversions=removed, busy=len(busy), wait_minutes=self._wait_minutes(busy))

    def _wait_minutes(self, busy: list[int]) -> int:
        ((seconds,),) = self._session.fetch("erasure/seconds_to_lease_end", {"ids": busy})
        return max(1, ceil((seconds or 0) / 60))

    def _conversions(self) -> list[KeptConversion]:
        users = [(domain, kept_as) for domain, user_id in self._people.users for kept_as in (user_id, hashed_user_id(user_id))]
        parameters = {
            "user_domains": [domain for domain, _ in users],
            "user_ids": [user_id for _, user_id in users],
            "identity_keys": list(self._people.identity_keys),
        }
        return [
            KeptConversion(**row._asdict() | {"state": State(row.state)})
            for row in self._session.fetch("erasure/find", parameters)
        ]

    def _actions(self, conversions: Sequence[KeptConversion]) -> list[tuple[int, Any]]:
        """The entries of the action log that name one of the people, by their number and without the names."""
        names = {user_id for _, user_id in self._people.users} | set(self._people.identity_keys)
        names |= {
            name
            for one in conversions
            for name in (one.conversion_id, one.action_id, one.identity_key, one.user_id)
            if name is not None
        }
        found = []
        for row in self._session.fetch("erasure/actions", {}):
            without = {
                key: FORGOTTEN if key in _TYPED and _is_about(key, text, names) else text for key, text in row.filter.items()
            }
            if without != row.filter:
                found.append((row.id, without))
        return found

    def _runs(self, conversions: Sequence[KeptConversion]) -> list[tuple[int, dict[str, Any]]]:
        """The records of runs that name one of the conversions, by the run's number and without the names."""
        action_ids = [one.action_id for one in conversions]
        found = []
        for row in self._session.fetch("erasure/runs", {"action_ids": action_ids}) if action_ids else ():
            record = row._asdict()
            without = _without(record, _replaces(action_ids))
            if without != record:
                found.append((without.pop("id"), _as_parameters(without)))
        return found


def _is_about(key: str, text: str, names: Set[str]) -> bool:
    """Whether what somebody typed stands for one of the names."""
    return text in names or (key == "written" and not names.isdisjoint(written_forms(text)))


def _batches(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + _BATCH_ROWS]) for start in range(0, len(ids), _BATCH_ROWS)]


def _replaces(action_ids: Sequence[str]) -> Callable[[str], str]:
    """A function that replaces these action IDs in a text, and no longer ones that begin with one of them."""
    pattern = re.compile(rf"(?<![\w.~%/-])(?:{'|'.join(map(re.escape, action_ids))})(?![\w~%/?-]|\.\w)")
    return lambda text: pattern.sub(FORGOTTEN, text)


def _without(document: Any, replace: Callable[[str], str]) -> Any:
    """A JSON document without the names: ``replace`` is applied to each text."""
    match document:
        case str():
            return replace(document)
        case list():
            return [_without(part, replace) for part in document]
        case dict():
            return {key: _without(part, replace) for key, part in document.items()}
        case _:
            return document


def _as_parameters(record: dict[str, Any]) -> dict[str, Any]:
    return {name: Json(part) if isinstance(part, dict) else part for name, part in record.items()}
