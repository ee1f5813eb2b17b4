"""Read-back: what Webflow shows of each goal and UTC day, beside what was sent and what was expected of it.

Webflow counts conversions uniquely, so what it shows is at most the number of users whose conversions it accepted.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.pipeline.verdict import Finding, Verdict, finding_of, worst_first
from webflow_conversions.rules.readings import Estimate, Observation, Reading, estimate

ALARM_DAYS = 3
"""Days before today on which missing conversions are told; older days are only recorded."""
BASELINE_DAYS = 14
"""Days before a day that its share of shown conversions is compared with."""
ENOUGH_BASELINE_DAYS = 5
"""Least number of these days on which something was accepted."""
LEAST_USUAL = 10
"""Least number of conversions that Webflow would usually show of a day, for fewer ones to say something."""
FALL_FACTOR = 4
"""Webflow shows far fewer conversions than usual if it shows fewer than the usual number divided by this."""
ENOUGH_UNJUDGED = 50
"""Least number of accepted users without a verdict of whom Webflow has to show one."""
ESTIMATE_DAYS = 60
"""Days before today whose record tells the readings apart."""


class WebflowGoal(NamedTuple):
    """A goal of the site; ``event_name`` is None where Webflow does not give it."""

    goal_id: str
    event_name: str | None = None


class GoalReports(Protocol):
    """What Webflow shows of a site (implemented by ``hooks/webflow_data.py``)."""

    def goals(self) -> Sequence[WebflowGoal]:
        """All goals.

        :raises Unavailable: if the API does not answer; Unusable, if it refuses.
        """
        ...

    def conversions(self, goal_id: str, since: date, until: date) -> Mapping[date, int] | None:
        """The unique conversions of the UTC days from ``since`` to before ``until``; None if there is no such goal.

        :raises Unavailable: if the API does not answer; Unusable, if it refuses.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SentDay:
    """Accepted conversions of an event name on one UTC day: events, their users, and the users by what is expected of them.

    ``verdicts`` has each user once, by the best verdict of their conversions; ``readings`` the users that each reading credits.
    """

    destination: str
    event_name: str
    day: date
    accepted: int = 0
    users: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    readings: Mapping[Reading, int] = field(default_factory=dict)

    def has(self, verdict: str) -> int:
        """The number of users with this verdict."""
        return self.verdicts.get(verdict, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDay:
    """A :class:`SentDay`, and the ``shown`` unique conversions of its goal."""

    sent: SentDay
    goal_id: str
    shown: int

    @property
    def key(self) -> tuple[str, str, date]:
        """What it is of."""
        return (self.sent.destination, self.sent.event_name, self.sent.day)

    def to_json(self) -> dict[str, Any]:
        """For the run's record."""
        return {
            "destination": self.sent.destination,
            "event_name": self.sent.event_name,
            "day": self.sent.day.isoformat(),
            "goal_id": self.goal_id,
            "shown": self.shown,
            "accepted": self.sent.accepted,
            "accepted_users": self.sent.users,
            "expected": {**self.sent.verdicts, **{str(reading): users for reading, users in self.sent.readings.items()}},
        }


class ReadbackLedger(Protocol):
    """The ledger of the read-back (implemented by ``ledger/readback.py``)."""

    def sent(self, since: date, until: date) -> Sequence[SentDay]:
        """Conversions of ``[since, until)`` that were accepted before ``until``, whose midnight is that of the last import."""
        ...

    def recorded(self, since: date) -> Sequence[ReadDay]:
        """What was read back of the days from ``since`` on."""
        ...

    def record(self, days: Sequence[ReadDay], now: datetime) -> None:
        """Record what was read, in place of what was recorded of these days."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """The result of a read-back: the days that were read, what is to be told of them, and which reading explains them."""

    days: Sequence[ReadDay]
    findings: Sequence[Finding]
    estimate: Estimate

    @property
    def verdict(self) -> Verdict:
        """The verdict on the run that read them."""
        return Verdict(findings=tuple(worst_first(self.findings)))

    def to_json(self) -> dict[str, Any]:
        """For the run's record."""
        return {"readback": [day.to_json() for day in self.days], "reading": self.estimate.to_json()}


def read_back(reports: GoalReports, ledger: ReadbackLedger, configured: Mapping[str, str], days: int, now: datetime) -> ReadBack:
    """Read what Webflow shows of the last ``days`` whole UTC days, record it, and compare it with what was sent.

    :param configured: goal IDs by event name (``readback.goals``).
    :raises Unavailable: if the API or the ledger does not answer; Unusable, if the API refuses.
    """
    until = now.astimezone(UTC).date()
    since = until - timedelta(days=days)
    sent = {(one.destination, one.event_name, one.day): one for one in ledger.sent(since, until)}
    destinations: dict[str, set[str]] = defaultdict(set)
    for destination, name, _ in sent:
        destinations[name].add(destination)
    findings = [_of_several(name, of_name) for name, of_name in destinations.items() if len(of_name) > 1]
    names = {name: min(of_name) for name, of_name in sorted(destinations.items()) if len(of_name) == 1}
    matched, unmatched = match_goals(names, reports.goals(), configured)
    findings += unmatched
    read: list[ReadDay] = []
    for name, goal_id in matched.items():
        shown = reports.conversions(goal_id, since, until)
        if shown is None:
            findings.append(_no_goal(name, f"the site has no goal {goal_id}"))
            continue
        for number in range(days):
            day = since + timedelta(days=number)
            nothing = SentDay(destination=names[name], event_name=name, day=day)
            read.append(ReadDay(sent=sent.get((names[name], name, day), nothing), goal_id=goal_id, shown=shown.get(day, 0)))
    known = {
        day.key: day for day in ledger.recorded(min(since - timedelta(days=BASELINE_DAYS), until - timedelta(days=ESTIMATE_DAYS)))
    }
    ledger.record(read, now)
    known |= {day.key: day for day in read}
    findings += alarms(read, list(known.values()), until)
    return ReadBack(days=read, findings=findings, estimate=estimate([observed(day) for day in known.values()]))


def observed(day: ReadDay) -> Observation:
    """A day as the estimate looks at it; users without a verdict may or may not be credited."""
    return Observation(day=day.sent.day, shown=day.shown, expected=day.sent.readings, unknown=day.sent.has("unknown"))


def match_goals(
    names: Iterable[str], listed: Sequence[WebflowGoal], configured: Mapping[str, str]
) -> tuple[dict[str, str], list[Finding]]:
    """The goal ID of each event name: as Webflow lists it, else as it is configured; and what is to be told of the others."""
    by_name = {goal.event_name: goal.goal_id for goal in reversed(listed) if goal.event_name}
    matched: dict[str, str] = {}
    findings: list[Finding] = []
    for name in names:
        if name in by_name:
            matched[name] = by_name[name]
            continue
        if by_name:
            findings.append(_no_goal(name, "no goal of the site has this event name"))
        elif name not in configured:
            what = "Webflow does not name its goals, and readback.goals has no goal ID for this event name: it is not read back"
            findings.append(_no_goal(name, what, Level.NOTE))
        if name in configured:
            matched[name] = configured[name]
    return matched, findings


def compare_goals(used: Collection[str], configured: Collection[str] | None, listed: Sequence[WebflowGoal]) -> str | None:
    """What event names no goal of the site has, and where the configuration's ``goals`` differ from Webflow's, in one sentence.

    :param used: the event names that the sources are configured with.
    :param configured: the event names that a goal has now by the configuration's ``goals``; None without that key.
    :return: None if nothing differs, and where Webflow does not name its goals.
    """
    named = {goal.event_name for goal in listed if goal.event_name}
    if not named:
        return None
    found = [f"no goal of the site has the event name {name}" for name in sorted(set(used) - named)]
    if configured is not None:
        found += [
            f"goals of the configuration has {name}, and the site does not" for name in sorted({*configured} - named - {*used})
        ]
        found += [
            f"the site has {name}, and goals of the configuration does not" for name in sorted({*used} & named - {*configured})
        ]
    return "; ".join(found) or None


def alarms(read: Sequence[ReadDay], known: Sequence[ReadDay], today: date) -> list[Finding]:
    """What is wrong with the shown conversions of each goal, at most one finding a goal: of the latest day that is wrong.

    :param known: all that is recorded of the goals, for the usual share.
    """
    of_goal: dict[tuple[str, str], list[ReadDay]] = defaultdict(list)
    for day in sorted(known, key=lambda day: day.sent.day):
        of_goal[day.key[:2]].append(day)
    findings: list[Finding] = []
    for key in dict.fromkeys(day.key[:2] for day in read):
        days = [day for day in read if day.key[:2] == key]
        recent = [day for day in days if day.sent.day >= today - timedelta(days=ALARM_DAYS)]
        found = (_of_day(day, of_goal[key]) for day in sorted(recent, key=lambda day: day.sent.day, reverse=True))
        first = next(filter(None, found), None) or _of_all_days(days)
        findings += [first] if first else []
    return findings


def _of_day(day: ReadDay, known: Sequence[ReadDay]) -> Finding | None:
    sent = day.sent
    if day.shown == 0 and sent.has("will_count"):
        return finding_of(
            Cause.SHOWS_NOTHING,
            "",
            f"{sent.event_name}: Webflow shows no conversion on {sent.day} (UTC), and accepted {sent.accepted:,} of "
            f"{sent.users:,} users, of whom {sent.has('will_count'):,} had to count",
        )
    start = sent.day - timedelta(days=BASELINE_DAYS)
    before = [one for one in known if start <= one.sent.day < sent.day and one.sent.users]
    if len(before) < ENOUGH_BASELINE_DAYS:
        return None
    share = sum(one.shown for one in before) / sum(one.sent.users for one in before)
    usual = share * sent.users
    if usual < LEAST_USUAL or day.shown * FALL_FACTOR >= usual:
        return None
    return finding_of(
        Cause.SHOWS_LITTLE,
        "",
        f"{sent.event_name}: Webflow shows {day.shown:,} conversions on {sent.day} (UTC) for {sent.users:,} users whose "
        f"conversions it accepted ({day.shown / sent.users:.1%}); in the {BASELINE_DAYS} days before it was {share:.1%}",
    )


def _of_all_days(days: Sequence[ReadDay]) -> Finding | None:
    """Whether none of the days shows anything, although many users are not known to count for nothing."""
    users = sum(day.sent.users - day.sent.has("will_not_count") for day in days)
    if users < ENOUGH_UNJUDGED or any(day.shown for day in days):
        return None
    accepted = sum(day.sent.accepted for day in days)
    return finding_of(
        Cause.SHOWS_NOTHING,
        "",
        f"{days[0].sent.event_name}: Webflow shows no conversion at all from {days[0].sent.day} to {days[-1].sent.day} (UTC), "
        f"and accepted {accepted:,}",
    )


def _no_goal(name: str, what: str, level: Level | None = None) -> Finding:
    return finding_of(Cause.NO_GOAL, "", f"{name}: {what}", level=level)


def _of_several(name: str, destinations: Collection[str]) -> Finding:
    what = f"goes to several Webflow connections ({', '.join(sorted(destinations))}), and a goal does not tell them apart"
    return _no_goal(name, f"{what}: it is not read back", Level.NOTE)
