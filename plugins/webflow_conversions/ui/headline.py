"""What is said of a night: level, headline and details, chosen together, in one place, from one value.

No sentence is added by a part that does not know the whole :class:`~webflow_conversions.ui.night.Night`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum

from webflow_conversions.pipeline.causes import Level as VerdictLevel
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.ui.formatting import clock, conversions, duration, short
from webflow_conversions.ui.night import Night, Stage


class Level(StrEnum):
    """The levels of a run's verdict, and two for a night that is not over: ``waiting`` for a run, and ``working``."""

    GOOD = "good"
    NOTE = "note"
    ATTENTION = "attention"
    FAILED = "failed"
    WAITING = "waiting"
    WORKING = "working"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The level, the headline and the details for a night; ``blames``: the cause of the last failure belongs before them."""

    level: Level
    headline: str
    details: Sequence[str] = ()
    can_start: bool = False
    blames: bool = False


def in_words(night: Night) -> Words:
    """All that is said of a night; total, and the same night is always called the same."""
    if night.is_rehearsal and night.stage not in (Stage.NO_DAG, Stage.OVERDUE):
        return _in_rehearsal(night)
    match night.stage:
        case Stage.NO_DAG:
            return Words(
                level=Level.FAILED,
                headline="Airflow does not know the Dag.",
                details=["Its file is missing or cannot be imported: see the import errors on Airflow's home page."],
            )
        case Stage.STARTING | Stage.READING:
            step = "is about to start" if night.stage is Stage.STARTING else "reads the sources and looks for known users"
            waiting = [f"{_worth(night.prospects.total, night)} wait for it."] if night.prospects.total.rows else []
            return Words(level=Level.WORKING, headline=f"The run {step}.", details=waiting)
        case Stage.SENDING:
            return _while_sending(night)
        case Stage.CLOSING:
            return Words(level=Level.WORKING, headline="The run has sent all it had, and closes its account.")
        case Stage.PAUSED:
            return _while_paused(night)
        case Stage.OVERDUE:
            due = clock(night.next_run_at) if night.next_run_at else "now"
            waiting = [f"{_worth(night.prospects.total, night)} wait for it."] if night.prospects.total.rows else []
            return Words(
                level=Level.FAILED,
                headline=f"The run of {due} has not started.",
                details=[*waiting, "Is the scheduler running? Airflow's home page shows its health."],
                can_start=True,
                blames=True,
            )
        case Stage.RUN_COMES | Stage.NO_RUN_COMES:
            if night.prospects.total.rows:
                return _while_waiting(night)
            return _before_the_run(night) if night.tonight is None else _after_the_run(night, night.tonight)


def _in_rehearsal(night: Night) -> Words:
    """Nothing is sent, so nothing can miss the import or be lost."""
    ready = night.prospects.total
    what = f"{_worth(ready, night)} would be sent" if ready.rows else "there is nothing to send"
    match night.stage:
        case Stage.STARTING | Stage.READING:
            step = "is about to start" if night.stage is Stage.STARTING else "reads the sources and looks for known users"
            return Words(level=Level.WORKING, headline=f"The rehearsal {step}.")
        case Stage.SENDING | Stage.CLOSING:
            return Words(level=Level.WORKING, headline=f"The rehearsal closes its account: {what}.")
        case Stage.PAUSED:
            return Words(
                level=Level.ATTENTION,
                headline="The Dag is paused: nothing is rehearsed tonight.",
                details=["Unpause it in Airflow; the run that was due last then starts at once, and sends nothing."],
            )
        case _ if night.tonight is None or not night.was_rehearsed:
            return _before_the_rehearsal(night, what)
        case _:
            return _after_the_rehearsal(night.tonight, what)


def _after_the_rehearsal(level: VerdictLevel, what: str) -> Words:
    match level:
        case VerdictLevel.FAILED:
            return Words(
                level=Level.FAILED,
                headline="Tonight's rehearsal failed.",
                details=[f"So far {what}."],
                can_start=True,
                blames=True,
            )
        case VerdictLevel.ATTENTION:
            headline = f"Tonight's rehearsal needs attention: {what}."
            return Words(level=Level.ATTENTION, headline=headline, can_start=True, blames=True)
        case VerdictLevel.NOTE | VerdictLevel.GOOD:
            return Words(
                level=Level.GOOD, headline=f"Tonight's rehearsal went well: {what}, and nothing was sent.", can_start=True
            )


def _before_the_rehearsal(night: Night, what: str) -> Words:
    at, level = night.next_run_at, Level.WAITING if night.before is None or night.before.is_green else Level.ATTENTION
    headline = f"The next rehearsal starts on {at.astimezone(UTC):%d %B} at {clock(at)}." if at else "No rehearsal is due."
    return Words(level=level, headline=headline, details=[f"So far {what}."], can_start=True, blames=True)


def _while_sending(night: Night) -> Words:
    prospects, speed = night.prospects, [f"{night.rows_per_second:,.0f} a second go out."] if night.rows_per_second else []
    pauses = [f"Webflow asked {name} to wait until {until.astimezone(UTC):%H:%M:%S} UTC." for name, until in night.pauses.items()]
    troubles = [f"{_worth(amount, night)} are tried again: {trouble}." for trouble, amount in night.troubles.items()]
    late = f"{_worth(prospects.night_after, night)} miss the import at {clock(night.import_at)}"
    wait = f"{_worth(prospects.total, night)} wait, and {night.rows_per_second:,.0f} a second go out."
    if prospects.lost.rows:
        return Words(
            level=Level.FAILED,
            headline=f"At this rate {_worth(prospects.lost, night)} grow older than 2 days before their turn, and are lost then.",
            details=[
                *([f"{late}, and are imported the night after."] if prospects.night_after.rows else []),
                wait,
                *pauses,
                *troubles,
            ],
        )
    if prospects.night_after.rows:
        return Words(
            level=Level.FAILED,
            headline=f"At this rate {late}.",
            details=[wait, *pauses, *troubles, "They go out after it, and are imported the night after."],
        )
    done = night.done_at
    in_time = (
        f"done at {clock(done)}, {duration(night.import_at - done)} before the import" if done else "the rate is not known yet"
    )
    return Words(
        level=Level.ATTENTION if pauses else Level.WORKING,
        headline=f"{_worth(prospects.total, night)} are on their way: {in_time}.",
        details=[*speed, *pauses, *troubles],
    )


def _while_paused(night: Night) -> Words:
    if not night.prospects.total.rows:
        return Words(
            level=Level.FAILED,
            headline="The Dag is paused: nothing is sent tonight.",
            details=["Unpause it in Airflow; the run that was due last then starts at once."],
        )
    return Words(
        level=Level.FAILED,
        headline=f"{_worth(night.prospects.total, night)} are ready, and the Dag is paused: "
        f"they miss the import in {_left(night)}.",
        details=["Unpause the Dag in Airflow: the run that was due last then starts at once."],
        blames=True,
    )


def _while_waiting(night: Night) -> Words:
    """Conversions are ready, and no run is at work."""
    ready, lost = _worth(night.prospects.total, night), _worth(night.prospects.lost, night)
    if night.stage is Stage.RUN_COMES and night.next_run_at is not None:
        at = clock(night.next_run_at)
        if night.prospects.lost.rows:
            return Words(
                level=Level.FAILED,
                headline=f"{lost} grow older than 2 days before the run at {at}, and are lost then.",
                details=[f"{ready} are ready. Start a run now: it sends them all."],
                can_start=True,
                blames=True,
            )
        return Words(
            level=Level.ATTENTION if night.last_failed else Level.WAITING,
            headline=f"{ready} wait for the run at {at}.",
            can_start=True,
            blames=True,
        )
    then = []
    if night.next_run_at is not None and night.prospects.lost.rows:
        then.append(f"{lost} grow older than 2 days before the run on {short(night.next_run_at)}, and are lost then.")
    return Words(
        level=Level.FAILED,
        headline=f"{ready} are ready, and tonight's run failed: they miss the import in {_left(night)}."
        if night.last_failed and night.is_tonights
        else f"{ready} are ready, and no run comes before the import in {_left(night)}.",
        details=["Start a run: it sends all that is ready.", *then],
        can_start=True,
        blames=True,
    )


def _after_the_run(night: Night, level: VerdictLevel) -> Words:
    """Tonight's runs have ended, and nothing is ready."""
    accepted = _worth(night.accepted, night)
    next_run = []
    if night.stage is Stage.RUN_COMES and night.next_run_at is not None:
        next_run.append(f"The run at {clock(night.next_run_at)} takes what comes until then.")
    match level:
        case VerdictLevel.FAILED:
            return Words(
                level=Level.FAILED,
                headline="Tonight's run failed, and no conversion is ready to go out.",
                details=[f"{accepted} were accepted tonight.", *next_run],
                can_start=True,
                blames=True,
            )
        case VerdictLevel.ATTENTION:
            return Words(
                level=Level.ATTENTION,
                headline=f"Tonight needs attention: {accepted} were accepted, and none is ready to go out.",
                details=next_run,
                blames=True,
            )
        case VerdictLevel.NOTE | VerdictLevel.GOOD:
            empty = [f"No rows came from {', '.join(night.empty_sources)}."] if night.empty_sources else []
            if not night.accepted.rows:
                return Words(
                    level=Level.NOTE,
                    headline="Nothing arrived tonight: no conversion was accepted.",
                    details=[*(empty or ["The run found no conversion that was due."]), *next_run],
                )
            return Words(
                level=Level(level),
                headline=f"All that could go out tonight is out: {accepted}.",
                details=[*empty, *next_run],
            )


def _before_the_run(night: Night) -> Words:
    """No run of tonight has ended, and nothing is ready."""
    before = []
    if night.accepted.rows:
        before.append(f"{_worth(night.accepted, night)} accepted today are imported at midnight.")
    elif night.before is not None and not night.is_tonights:
        before.append(
            f"The night before, {_worth(night.accepted_before, night)} were accepted."
            if night.accepted_before.rows
            else "The night before, no conversion was accepted."
        )
    elif not night.has_runs:
        before.append("Nothing has run yet: the first run sets up the ledger, and reads the last 2 days.")
    level = Level.WAITING if night.before is None or night.before.is_green else Level.ATTENTION
    if night.next_run_at is None:
        return Words(level=level, headline="No run is due.", details=before, can_start=True, blames=True)
    at = night.next_run_at
    return Words(
        level=level,
        headline=f"Tonight's run starts at {clock(at)}, in {duration(at - night.now)}."
        if night.stage is Stage.RUN_COMES
        else f"The next run starts on {at.astimezone(UTC):%d %B} at {clock(at)}.",
        details=before,
        blames=True,
    )


def _worth(amount: Amount, night: Night) -> str:
    return conversions(amount, night.currency)


def _left(night: Night) -> str:
    return duration(night.import_at - night.now)
