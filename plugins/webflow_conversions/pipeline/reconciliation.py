"""The account of a run: every row that was read is in exactly one state, with its money, and every due conversion is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from webflow_conversions.pipeline.guards import SourceCounts
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.readings import Reading
from webflow_conversions.rules.states import SKIPPED, State

BESIDE = ("duplicates", "conflicting", "outside", "too_old")
"""Fields of a tally for rows that are not recorded."""

MISSING = "missing"
"""Stands in place of a state for a conversion that the ledger no longer has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """Conversions whose money in the ledger (``value``) differs from the money read (``read_value``) without a known cause."""

    rows: int = 0
    read_value: Decimal = Decimal(0)
    value: Decimal = Decimal(0)

    def __add__(self, other: "Altered") -> "Altered":
        return Altered(rows=self.rows + other.rows, read_value=self.read_value + other.read_value, value=self.value + other.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAccount:
    """A source in a run: what its extraction tallied, and where the ledger says its conversions stand, by state and reason.

    ``tally`` is None if the source was not read to its end. The money in ``states`` is what was read; ``in_window`` is the
    part of it that happened within the run's window, ``new`` the part that this run brought into its state.
    ``would_send`` is in place of ``ready`` where the run is a rehearsal, and what is ready is to stay so.
    ``identified`` is what the run found of conversions that wait, its extraction's look-ups included; ``returned``: conversions
    that had been withdrawn since the source did not return them, and that it returned again. ``attribution`` is of the
    accepted ones, by verdict and its reason; no verdict where nothing was judged. ``credited`` are those of them that each
    reading credits.
    """

    tally: Tally | None
    changed_after_sent: int = 0
    states: Mapping[tuple[str, str | None], Amount] = field(default_factory=dict)
    in_window: Mapping[tuple[str, str | None], Amount] = field(default_factory=dict)
    new: Mapping[tuple[str, str | None], Amount] = field(default_factory=dict)
    altered: Altered = field(default_factory=Altered)
    sent: Amount = field(default_factory=Amount)
    sent_again: int = 0
    ready: Mapping[str | None, Amount] = field(default_factory=dict)
    would_send: Amount = field(default_factory=Amount)
    in_doubt: Amount = field(default_factory=Amount)
    identified: SourceIdentified = field(default_factory=SourceIdentified)
    returned: int = 0
    attribution: Mapping[tuple[str | None, str | None], Amount] = field(default_factory=dict)
    credited: Mapping[Reading, Amount] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAccount:
    """A push of the run, as it counted itself; ``is_complete`` if it ended in good order."""

    is_complete: bool
    accepted: int


def source_counts(accounts: Mapping[str, SourceAccount]) -> dict[str, SourceCounts]:
    """The counts that the guards check, by source."""
    return {
        source: SourceCounts(
            read_rows=account.tally.read.rows if account.tally else None,
            recorded_rows=sum(amount.rows for amount in account.states.values()),
            rejected_rows=sum(
                amount.rows
                for (state, reason), amount in account.states.items()
                if state == State.REJECTED and reason not in SKIPPED
            ),
            to_send=sum(account.ready.values(), account.would_send),
            missing=account.identified.missing,
            had_user=account.identified.had_user,
            lost_user=account.identified.lost_user,
        )
        for source, account in accounts.items()
    }


def counts(
    accounts: Mapping[str, SourceAccount], pushes: Sequence[PushAccount], activity: Mapping[str, Mapping[str, Sequence[int]]] = {}
) -> dict[str, Any]:
    """The run's record: by source what was read and sent, and by state and reason where it stands.

    :param activity: how long after the last activity conversions came, by event name and UTC day.
    """
    return {
        "sources": {
            source: {
                **(tally_counts(account.tally) if account.tally else {}),
                "changed_after_sent": account.changed_after_sent,
                "states": state_counts(account.states),
                "attribution": attribution_counts(account.attribution),
                "credited": {str(reading): amount.to_json() for reading, amount in account.credited.items()},
                "sent": account.sent.to_json(),
                "sent_again": account.sent_again,
                "ready": sum(account.ready.values(), Amount()).to_json(),
                "would_send": account.would_send.to_json(),
                "in_doubt": account.in_doubt.to_json(),
                **account.identified.to_json(),
                "returned": account.returned,
            }
            for source, account in accounts.items()
        },
        "accepted_by_pushes": sum(push.accepted for push in pushes),
        **({"activity": {name: dict(days) for name, days in activity.items()}} if activity else {}),
    }


def tally_counts(tally: Tally) -> dict[str, Any]:
    """A tally for a record."""
    return {name: getattr(tally, name).to_json() for name in ("read", "recorded", *BESIDE)}


def state_counts(states: Mapping[tuple[str, str | None], Amount]) -> dict[str, dict[str, Any]]:
    """Amounts by state and reason for a record; no reason is the empty text."""
    document: dict[str, dict[str, Any]] = {}
    for (state, reason), amount in sorted(states.items(), key=_in_order):
        document.setdefault(str(state), {})[reason or ""] = amount.to_json()
    return document


def amount_in(counts: Mapping[str, Mapping[str, Any]], state: State, reason: str | None = None) -> Amount:
    """The amount of a state and reason in the result of :func:`state_counts`."""
    document = counts.get(state, {}).get(reason or "")
    return Amount.from_json(document) if document else Amount()


def attribution_counts(attribution: Mapping[tuple[str | None, str | None], Amount]) -> dict[str, dict[str, Any]]:
    """Amounts by verdict and its reason for a record; no verdict and no reason are the empty text."""
    document: dict[str, dict[str, Any]] = {}
    for (verdict, reason), amount in sorted(attribution.items(), key=lambda item: (item[0][0] or "", item[0][1] or "")):
        document.setdefault(verdict or "", {})[reason or ""] = amount.to_json()
    return document


def as_table(accounts: Mapping[str, SourceAccount]) -> str:
    """The account for the log: a line a source, state and reason."""
    lines = [f"{'source':<24} {'state':<10} {'reason':<26} {'rows':>10} {'value':>18}"]

    def line(source: str, state: str, reason: str, amount: Amount) -> None:
        lines.append(f"{source:<24} {state:<10} {reason:<26} {amount.rows:>10,} {amount.value:>18,.2f}")

    for source, account in accounts.items():
        if account.tally is not None:
            line(source, "read", "", account.tally.read)
            for name in BESIDE:
                amount = getattr(account.tally, name)
                if amount.rows:
                    line(source, "-", name, amount)
        for (state, reason), amount in sorted(account.states.items(), key=_in_order):
            line(source, state, reason or "", amount)
    return "\n".join(lines)


_ORDER = [*(state.value for state in State), MISSING]


def _in_order(item: tuple[tuple[str, str | None], Amount]) -> tuple[int, str]:
    (state, reason), _ = item
    return _ORDER.index(state), reason or ""
