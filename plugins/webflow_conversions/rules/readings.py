"""Which of the three readings of Webflow's rule explains what Webflow shows best (docs/readback.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

ENOUGH_DAYS = 5
"""Least number of days with conversions for an estimate."""
WELL_EXPLAINED = 0.1
"""Share of what Webflow shows by which a reading may be off and still explains it."""


class Reading(StrEnum):
    """A reading of the rule by which Webflow credits a conversion, from the narrowest to the widest."""

    STRICT = "strict"
    WIDE = "wide"
    LENIENT = "lenient"

    def is_within(self, other: "Reading") -> bool:
        """Whether the other reading credits all that this one does."""
        order = list(Reading)
        return order.index(self) <= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A goal on one day: ``shown`` unique conversions at Webflow, and the unique users that each reading expects.

    ``unknown``: unique users of whom no reading says anything yet; each of them may be credited or not.
    """

    day: date
    shown: int
    expected: Mapping[Reading, int]
    unknown: int = 0

    @property
    def has_conversions(self) -> bool:
        """Whether anything was shown or expected."""
        return bool(self.shown or any(self.expected.values()))

    def distance(self, reading: Reading) -> int:
        """Conversions between what is shown and what the reading allows: what it expects, and up to ``unknown`` more."""
        least = self.expected.get(reading, 0)
        return max(least - self.shown, self.shown - least - self.unknown, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How far each reading is from what Webflow shows, over ``days`` days with conversions.

    ``expected`` and ``distances`` are sums over the days and goals: a day with too many does not make up for one with too few.
    """

    days: int
    shown: int
    expected: Mapping[Reading, int]
    distances: Mapping[Reading, int]

    @property
    def best(self) -> Reading | None:
        """The reading that is nearest; None with too few days, or if two are equally near."""
        nearest = self._nearest()
        return nearest[0] if self.days >= ENOUGH_DAYS and len(nearest) == 1 else None

    @property
    def sentence(self) -> str:
        """The estimate in words, with its numbers."""
        if self.days < ENOUGH_DAYS:
            return f"Not enough days yet to tell the readings apart: {self.days} with conversions, and it takes {ENOUGH_DAYS}."
        numbers = "; ".join(
            f"{reading} expects {self.expected[reading]:,} and is off by {self.distances[reading]:,}" for reading in Reading
        )
        figures = f"on {self.days} days Webflow shows {self.shown:,} unique conversions; {numbers}"
        nearest = self._nearest()
        if len(nearest) == len(Reading):
            return f"No difference between the readings yet: {figures}."
        names, verb = " and ".join(nearest), "explains" if len(nearest) == 1 else "explain"
        if self.distances[nearest[0]] > WELL_EXPLAINED * max(self.shown, self.expected[nearest[0]]):
            return f"No reading explains what Webflow shows well, {names} least badly: {figures}."
        return f"{names[0].upper()}{names[1:]} {verb} best what Webflow shows: {figures}."

    def to_json(self) -> dict[str, Any]:
        """For the run's record and the page."""
        return {
            "days": self.days,
            "shown": self.shown,
            "expected": {str(reading): self.expected[reading] for reading in Reading},
            "distances": {str(reading): self.distances[reading] for reading in Reading},
            "best": self.best and str(self.best),
            "sentence": self.sentence,
        }

    def _nearest(self) -> list[Reading]:
        least = min(self.distances.values())
        return [reading for reading in Reading if self.distances[reading] == least]


def estimate(observations: Sequence[Observation]) -> Estimate:
    """Compare what Webflow shows with what each reading expects; days without conversions say nothing."""
    telling = [one for one in observations if one.has_conversions]
    return Estimate(
        days=len({one.day for one in telling}),
        shown=sum(one.shown for one in telling),
        expected={reading: sum(one.expected.get(reading, 0) for one in telling) for reading in Reading},
        distances={reading: sum(one.distance(reading) for one in telling) for reading in Reading},
    )
