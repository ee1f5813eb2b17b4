"""Random sites from a seed: people with one or two browsers, who return, look around, see variations, and have an ID or two.

Moments at the edges of Webflow's rules are more frequent than by chance: pauses of exactly 30 minutes, sessions of 24 hours, a
view in the very millisecond of a sale.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from demo.simulator.site import IDLE_MS, LONGEST_MS, Kind, Report, User

MINUTE_MS = 60_000
_PAUSES_MS = [1, 20_000, 3 * MINUTE_MS, 20 * MINUTE_MS, IDLE_MS - MINUTE_MS, IDLE_MS - 1, IDLE_MS, IDLE_MS + 1, 45 * MINUTE_MS]
_BEFORE_SALE_MS = [
    *(minutes * MINUTE_MS for minutes in (1, 3, 5, 10, 15, 20, 25, 40)),
    4 * 3_600_000,
    20 * 3_600_000,
    2 * LONGEST_MS,
]
"""Milliseconds between the start of a visit and a sale that it leads to."""
_PAGES = ["/", "/pricing", "/product", "/blog/news", "/contact"]
_VARIATIONS = [("headline B", "homepage headline"), ("base", "homepage headline"), ("short form", "contact form")]


@dataclass(slots=True)
class Person:
    """A person: the users that they are known as, and the moments at which somebody may buy something away from the site."""

    key: str
    users: list[User] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)


def generate(seed: int, people: int, from_ms: int, to_ms: int, domain: str = "salesforce") -> Iterator[Person]:
    """People whose reports lie in ``[from_ms, to_ms)``."""
    dice = random.Random(seed)
    for number in range(people):
        yield _person(dice, f"person-{seed}-{number}", from_ms, to_ms, domain)


def visits_of(seed: int, people: Iterable[Person], from_ms: int, to_ms: int, before_sale: float) -> Iterator[Report]:
    """The reports of people whose users and moments of sales are given, each with one browser; all lie in ``[from_ms, to_ms)``.

    :param before_sale: share of the sales that follow a visit. Some people also visit the site at random.
    """
    dice = random.Random(seed)
    for person in people:
        visitor = Person(person.key, users=[*person.users])
        starts = [moment - dice.choice(_BEFORE_SALE_MS) for moment in person.moments if dice.random() < before_sale]
        starts += [dice.randrange(from_ms, to_ms) for _ in range(dice.choice([0, 0, 0, 0, 0, 1]))]
        for start in starts:
            _visit(dice, visitor, f"{person.key}-browser", start - dice.randrange(MINUTE_MS), is_known=True)
        yield from (report for report in visitor.reports if from_ms <= report.at_ms < to_ms)


def _person(dice: random.Random, key: str, from_ms: int, to_ms: int, domain: str) -> Person:
    person = Person(key)
    for device in range(dice.choice([0, 1, 1, 1, 1, 2])):
        visitor = f"{key}-browser-{device}"
        person.users.append(User(domain, f"{key}-id-{device if dice.random() < 0.5 else 0}"))
        # Some sites begin to call setUserId() late, and some people are known by an ID that the site never sets.
        set_from = dice.choice([0, 0, 0, 1, 2, 99])
        at = dice.randrange(from_ms, to_ms)
        for visit in range(dice.choice([1, 1, 2, 3, 6])):
            at = _visit(dice, person, visitor, at, visit >= set_from)
            at += dice.choice([IDLE_MS, IDLE_MS - 1, 2 * 3_600_000, LONGEST_MS - IDLE_MS, LONGEST_MS, 3 * LONGEST_MS])
    person.users = list(dict.fromkeys(person.users))
    person.reports = [report for report in person.reports if from_ms <= report.at_ms < to_ms]
    person.moments += [dice.randrange(from_ms, to_ms)] * (not person.moments)
    return person


def _visit(dice: random.Random, person: Person, visitor: str, at: int, is_known: bool) -> int:
    """Report one visit; returns the moment of its last activity."""
    start = at
    user = person.users[-1]
    viewed = dice.choice([0, 0, 1, 3, None])
    identified = dice.choice([0, 0, 0, 1, 2]) if is_known else None
    changes = dice.random() < 0.1
    pauses = (
        [IDLE_MS - 1] * dice.choice([47, 48, 49, 97]) if dice.random() < 0.03 else dice.choices(_PAUSES_MS, k=dice.randrange(8))
    )
    for step, pause in enumerate([0, *pauses]):
        at += pause
        page = dice.choice(_PAGES)
        person.reports.append(
            Report(visitor, at, Kind.CLICK, "button", page) if step % 4 == 3 else Report(visitor, at, Kind.PAGE, page)
        )
        if step == identified or (step == 4 and changes and identified is not None):
            if step == 4 and changes:
                user = User(user.domain, f"{user.id}-new")
                person.users.append(user)
            person.reports.append(Report(visitor, at, Kind.IDENTIFY, user.domain, user.id))
        if step == viewed or dice.random() < 0.05:
            variation, optimization = dice.choice(_VARIATIONS)
            view = at + dice.choice([0, 1, 900])
            person.reports.append(Report(visitor, view, Kind.VARIATION, variation, optimization))
            person.moments += [view - 1, view, view + 1, view + MINUTE_MS, view - MINUTE_MS]
    edges = [start, at, at + IDLE_MS, start + LONGEST_MS, at + IDLE_MS - MINUTE_MS, at + IDLE_MS + MINUTE_MS]
    person.moments += [edge + shift for edge in edges for shift in (-1, 0, 1)]
    person.moments += [at + dice.randrange(2 * IDLE_MS), start + dice.randrange(3 * LONGEST_MS)]
    return at
