"""What becomes of the accepted conversions: the verdicts on them, how soon after a visit they came, what Webflow shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from webflow_conversions.ledger.overview import DAYS, Attributions, OverviewData, ReadbackDay, SourceExtraction
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.credit import (
    ACTIVITY_MINUTES,
    HOW_TO_KNOW,
    SESSION_IDLE_MINUTES,
    SESSION_MAX_MINUTES,
    Attribution,
    explain_attribution,
    within,
)
from webflow_conversions.rules.readings import Observation, Reading, estimate
from webflow_conversions.rules.states import State
from webflow_conversions.ui.formatting import conversions, number, percent

NOT_JUDGED = "not_judged"
"""In place of a verdict where nothing was judged."""
LABELS = {
    Attribution.WILL_COUNT: "will count",
    Attribution.MAY_COUNT: "may count",
    Attribution.WILL_NOT_COUNT: "will not count",
    Attribution.UNKNOWN: "not known",
    NOT_JUDGED: "not judged",
}
"""The verdicts in words, in the order of the page."""
MOST = 0.5
"""Share of the conversions that counts as most of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCredit:
    """The accepted conversions of a source by verdict (``not_judged`` where there is none), of those of the funnel.

    ``source`` is empty for all sources together.
    """

    source: str
    accepted: Amount
    verdicts: Mapping[str, Amount]

    @property
    def is_judged(self) -> bool:
        """Whether there is a verdict on any of them."""
        return any(amount.rows for verdict, amount in self.verdicts.items() if verdict != NOT_JUDGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditReason:
    """Accepted conversions with a verdict other than ``will_count``: how many, why, and what somebody can do about it."""

    attribution: str
    reason: str
    amount: Amount
    by_source: Mapping[str, Amount]
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityBucket:
    """Conversions that came at least ``from_minutes`` and less than ``to_minutes`` after the last activity.

    ``to_minutes`` is None for those that came later, and for those without any activity.
    """

    from_minutes: int
    to_minutes: int | None
    rows: int

    @property
    def label(self) -> str:
        """In words."""
        if self.to_minutes is None:
            return f"none in {_span(self.from_minutes)}"
        start, end = _span(self.from_minutes), _span(self.to_minutes)
        if not self.from_minutes:
            return f"under {end}"
        return f"{start.split()[0]}–{end}" if start.split()[1] == end.split()[1] else f"{start} – {end}"

    @property
    def tick(self) -> str:
        """The end of the bucket, for the axis; ``none`` for the last one."""
        return "none" if self.to_minutes is None else _span(self.to_minutes).replace(" min", "m").replace(" ", "")

    @property
    def zone(self) -> str:
        """Before the end of a session by idleness, by age, or after both."""
        if self.to_minutes is None or self.to_minutes > SESSION_MAX_MINUTES:
            return "after"
        return "idle" if self.to_minutes <= SESSION_IDLE_MINUTES else "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventActivity:
    """How long after the last activity the conversions of an event name came, of the last 14 days.

    ``within_30_minutes`` and ``within_24_hours`` are shares of ``rows``.
    """

    event_name: str
    rows: int
    within_30_minutes: float
    within_24_hours: float
    buckets: Sequence[ActivityBucket]

    @property
    def sentence(self) -> str:
        """The shares, and what they mean for this event."""
        shares = (
            f"Of {number(self.rows)} conversions, {percent(self.within_30_minutes)} came within 30 minutes of the visitor's last "
            f"activity, and {percent(self.within_24_hours)} within 24 hours"
        )
        if self.within_30_minutes >= MOST:
            return f"{shares}: most of them come while the visit lasts, so Webflow can credit them."
        if self.within_24_hours >= MOST:
            return f"{shares}: most of them come when the visit is over by the strict reading, so it depends on the reading."
        return f"{shares}: most of them come long after the visit, so off-site conversions hardly work for this event."


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What Webflow credits, as far as it is known. ``how_to_know`` is what it would take where nothing is judged, else empty.

    ``headline`` says how many of the accepted conversions are credited under the reading of the configuration, ``credited`` has
    all three; both are empty where that is not known. ``readback`` is what Webflow itself shows of each goal and day, the newest
    day first; ``read_at`` when the last was read, and ``reading`` says which reading of Webflow's rule explains it.
    """

    how_to_know: str
    headline: str = ""
    credited: Mapping[Reading, Amount] = field(default_factory=dict)
    total: SourceCredit | None = None
    sources: Sequence[SourceCredit] = ()
    reasons: Sequence[CreditReason] = ()
    activity: Sequence[EventActivity] = ()
    readback: Mapping[str, Sequence[ReadbackDay]] = field(default_factory=dict)
    read_at: datetime | None = None
    reading: str = ""


def credit(data: OverviewData, today: date) -> Credit:
    """What is known of the run that is shown, and of the last 14 days."""
    sources = [_of_source(one.source, one.attribution) for one in data.extractions if one.attribution is not None]
    is_counted = len(sources) == len(data.extractions)
    activity = activities((run.counts.get("activity", {}) for run in data.runs), today)
    is_judged = any(one.is_judged for one in sources) or bool(activity)
    readback: dict[str, list[ReadbackDay]] = {}
    for day in sorted(data.readback, key=lambda day: (day.event_name, -day.day.toordinal())):
        readback.setdefault(day.event_name, []).append(day)
    total = _total(sources) if sources and is_counted else None
    follows = data.shown.reading if data.shown and total and total.is_judged else None
    credited = {
        reading: sum((one.credited.get(reading, Amount()) for one in data.extractions), Amount())
        for reading in Reading
        if follows
    }
    return Credit(
        how_to_know="" if is_judged or not is_counted else HOW_TO_KNOW,
        headline=_headline(follows, credited, total, data.currency) if follows and total else "",
        credited=credited,
        total=total,
        sources=sources,
        reasons=_reasons(data.extractions),
        activity=activity,
        readback=readback,
        read_at=max((day.read_at for day in data.readback), default=None),
        reading=estimate([_observed(day) for day in data.readback]).sentence if data.readback else "",
    )


def _headline(follows: Reading, credited: Mapping[Reading, Amount], total: SourceCredit, currency: str | None) -> str:
    """How many are credited under the reading that the configuration names, and under the others."""
    of_it, accepted = credited[follows], total.accepted
    unknown = sum(total.verdicts[verdict].rows for verdict in (Attribution.UNKNOWN, NOT_JUDGED))
    others = ", ".join(
        f"{number(amount.rows)} under the {reading} one" for reading, amount in credited.items() if reading != follows
    )
    open_ = f" Of {number(unknown)} it is not known." if unknown else ""
    return (
        f"Of {number(accepted.rows)} accepted, Webflow credits {conversions(of_it, currency)} under the {follows} reading "
        f"({percent(of_it.rows / accepted.rows)}); {others}.{open_}"
    )


def _observed(day: ReadbackDay) -> Observation:
    expected = {reading: day.expected[reading] for reading in Reading if reading in day.expected}
    return Observation(day=day.day, shown=day.conversions, expected=expected, unknown=day.expected.get(Attribution.UNKNOWN, 0))


def activities(records: Iterable[Mapping[str, Mapping[str, Sequence[int]]]], today: date) -> list[EventActivity]:
    """The conversions of the last 14 days by the time since the last activity, the most frequent event name first.

    :param records: what runs recorded, the newest first: of each day the newest record counts.
    """
    oldest = (today - timedelta(days=DAYS - 1)).isoformat()
    found: dict[str, dict[str, Sequence[int]]] = {}
    for record in records:
        for event_name, days in record.items():
            for day, counts in days.items():
                if day >= oldest and len(counts) == len(ACTIVITY_MINUTES) + 1:
                    found.setdefault(event_name, {}).setdefault(day, counts)
    events = [_activity(name, [sum(of_bucket) for of_bucket in zip(*days.values(), strict=True)]) for name, days in found.items()]
    return sorted((event for event in events if event.rows), key=lambda event: (-event.rows, event.event_name))


def _activity(event_name: str, counts: Sequence[int]) -> EventActivity:
    rows = sum(counts)
    return EventActivity(
        event_name=event_name,
        rows=rows,
        within_30_minutes=within(counts, SESSION_IDLE_MINUTES) / rows if rows else 0,
        within_24_hours=within(counts, SESSION_MAX_MINUTES) / rows if rows else 0,
        buckets=[
            ActivityBucket(from_minutes=start, to_minutes=end, rows=of_bucket)
            for start, end, of_bucket in zip((0, *ACTIVITY_MINUTES), (*ACTIVITY_MINUTES, None), counts, strict=True)
        ],
    )


def _of_source(source: str, attribution: Attributions) -> SourceCredit:
    verdicts = dict[str, Amount].fromkeys(LABELS, Amount())
    for (verdict, _), amount in attribution.items():
        verdicts[verdict or NOT_JUDGED] += amount
    return SourceCredit(source=source, accepted=sum(verdicts.values(), Amount()), verdicts=verdicts)


def _total(sources: Sequence[SourceCredit]) -> SourceCredit:
    return SourceCredit(
        source="",
        accepted=sum((one.accepted for one in sources), Amount()),
        verdicts={verdict: sum((one.verdicts[verdict] for one in sources), Amount()) for verdict in LABELS},
    )


def _reasons(extractions: Iterable[SourceExtraction]) -> list[CreditReason]:
    found: dict[tuple[str, str], dict[str, Amount]] = {}
    for extraction in extractions:
        for (verdict, reason), amount in (extraction.attribution or {}).items():
            if verdict is not None and verdict != Attribution.WILL_COUNT:
                found.setdefault((verdict, reason or ""), {})[extraction.source] = amount
    reasons = [_why(verdict, reason, by_source) for (verdict, reason), by_source in found.items()]
    return sorted(reasons, key=lambda one: (_ORDER.index(one.attribution), -one.amount.rows, one.reason))


_ORDER = (Attribution.WILL_NOT_COUNT, Attribution.MAY_COUNT, Attribution.UNKNOWN)


def _why(verdict: str, reason: str, by_source: Mapping[str, Amount]) -> CreditReason:
    meaning, remedy = explain_attribution(verdict, reason)
    return CreditReason(
        attribution=verdict,
        reason=reason,
        amount=sum(by_source.values(), Amount()),
        by_source=by_source,
        meaning=meaning,
        remedy=remedy,
    )


def selection(attribution: str, reason: str = "", run: int | None = None) -> dict[str, str]:
    """The accepted conversions of a run with a verdict, and a reason, as the page's query parameters."""
    given = {"state": State.ACCEPTED, "attribution": attribution, "attribution_reason": reason, "run": run}
    return {name: str(value) for name, value in given.items() if value}


def _span(minutes: int) -> str:
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes <= SESSION_MAX_MINUTES else f"{minutes // 1_440} d"
