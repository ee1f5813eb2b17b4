"""Notices: a run failed or needs somebody, tonight's import will be missed, runs succeed again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from webflow_conversions.delivery.forecast import Forecast
from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.pipeline.verdict import Finding
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.window import next_import

_UNKNOWN = "An unknown number of conversions"


class NoticeKind(StrEnum):
    """What a notice is about; the values of ``notices.on`` in the configuration."""

    FAILED = "failed"
    ATTENTION = "attention"
    DEADLINE = "deadline"
    RECOVERED = "recovered"

    @property
    def severity(self) -> str:
        """In the words of most paging services: ``critical``, ``error``, ``warning``, ``info``."""
        return _SEVERITIES[self]


_SEVERITIES = {
    NoticeKind.FAILED: "error",
    NoticeKind.ATTENTION: "warning",
    NoticeKind.DEADLINE: "critical",
    NoticeKind.RECOVERED: "info",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A subject line and whole sentences: what is so, why, and what to do. ``run_id`` is the run that it speaks of, if any."""

    kind: NoticeKind
    subject: str
    lead: str
    cause: str = ""
    remedy: str = ""
    run_id: str | None = None

    @property
    def message(self) -> str:
        """All sentences."""
        return " ".join(filter(None, (self.cause, self.lead, self.remedy)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The last run of a night, as the ledger records it; ``unread_sources`` are those that no run of the night has read.

    ``is_rehearsal``: it sends nothing. ``forecasts`` are the last ones of its pushes, by destination; ``causes`` why it is not
    green so far.
    """

    run_id: str
    is_ended: bool
    causes: Sequence[Finding]
    unread_sources: Sequence[str]
    is_rehearsal: bool = False
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What is ready, by its last trouble, and what is in doubt.

    ``run`` is None if plan opened none this night, and then ``refused`` says why, as far as it is known.
    """

    run: RunRecord | None
    refused: Sequence[Finding] = ()
    ready: Mapping[str | None, Amount] = field(default_factory=dict)
    in_doubt: Amount = field(default_factory=Amount)


def concerning(findings: Iterable[Finding], sources: Collection[str] | None) -> list[Finding]:
    """The findings that are of one of the sources, or of no single one; all of them if no source is asked for."""
    return [finding for finding in findings if sources is None or not finding.source or finding.source in sources]


def run_notice(run_id: str, findings: Sequence[Finding], *, is_rehearsal: bool = False) -> Notice | None:
    """The notice of a run that is not green: failed, or in need of somebody, by the worst finding; None without any."""
    level = Level.worst(finding.level for finding in findings)
    if level.is_green:
        return None
    is_failed = level is Level.FAILED
    amount = sum((finding.amount for finding in findings), Amount())
    return Notice(
        kind=NoticeKind.FAILED if is_failed else NoticeKind.ATTENTION,
        subject=f"{_head(is_rehearsal)}: {run_id} {'failed' if is_failed else 'needs somebody'}",
        lead=" ".join(
            [
                *([f"It is about {amount}."] if amount.rows else []),
                *(["It is a rehearsal: nothing is sent, whatever it says."] if is_rehearsal else []),
            ]
        ),
        cause=_sentences(findings),
        remedy=_remedies(findings),
        run_id=run_id,
    )


def deadline_notice(stake: Stake, now: datetime) -> Notice | None:
    """The warning before the import; None where nothing is at stake."""
    ready = sum(stake.ready.values(), Amount())
    late = _late(stake.run, ready, now)
    unread = list(stake.run.unread_sources) if stake.run else []
    if not (late.rows or unread or stake.run is None):
        return None
    import_at = next_import(now)
    head = str(late) if late.rows else _UNKNOWN
    findings = stake.run.causes if stake.run else stake.refused
    return Notice(
        kind=NoticeKind.DEADLINE,
        subject=f"Webflow: {head} will miss tonight's import",
        lead=f"At {now.astimezone(UTC):%H:%M} UTC, {head} will miss Webflow's import at {import_at:%H:%M} UTC.",
        cause=" ".join(_why(stake, unread)),
        remedy=_remedies(findings) or "See the conversions page: it says where the run stands, and starts another.",
        run_id=stake.run.run_id if stake.run else None,
    )


def blind_notice(why: str, now: datetime) -> Notice:
    """The warning before the import where the ledger cannot be asked."""
    return Notice(
        kind=NoticeKind.DEADLINE,
        subject=f"Webflow: {_UNKNOWN} will miss tonight's import",
        lead=f"At {now.astimezone(UTC):%H:%M} UTC nobody can say what is out.",
        cause=why,
        remedy="See that the ledger's database is up; a run that waits for it goes on by itself.",
    )


def recovery_notice(run_id: str, broken_since: str, *, is_rehearsal: bool = False) -> Notice:
    """The notice of the first run that succeeded after a failed one."""
    if is_rehearsal:
        return Notice(
            kind=NoticeKind.RECOVERED,
            subject=f"{_head(is_rehearsal)}: all is well again since {run_id}",
            lead=f"{run_id} was a rehearsal, and sent nothing; all else went well. Not well since: {broken_since}.",
            run_id=run_id,
        )
    return Notice(
        kind=NoticeKind.RECOVERED,
        subject=f"Webflow: conversions go out again since {run_id}",
        lead=f"{run_id} sent all that was due. Not well since: {broken_since}.",
        run_id=run_id,
    )


def readback_recovery_notice(run_id: str, broken_since: str) -> Notice:
    """The notice of the first read-back without an alarm after one with it."""
    return Notice(
        kind=NoticeKind.RECOVERED,
        subject=f"Webflow: the goals show what they should again since {run_id}",
        lead=f"{run_id} read the goals, and found nothing missing. Not well since: {broken_since}.",
        run_id=run_id,
    )


def test_notice(kind: NoticeKind) -> Notice:
    """A notice that says that it is none."""
    return Notice(
        kind=kind,
        subject=f"Webflow: this is a test of the notices ({kind})",
        lead="Somebody tries whether notices arrive.",
        cause="Nothing has happened.",
        remedy="Nothing is to be done.",
    )


def _head(is_rehearsal: bool) -> str:
    return "Webflow (rehearsal)" if is_rehearsal else "Webflow"


def _sentences(findings: Iterable[Finding]) -> str:
    return " ".join(f"{finding.sentence[0].upper()}{finding.sentence[1:].rstrip('.')}." for finding in findings)


def _remedies(findings: Iterable[Finding]) -> str:
    """What to do, each once, the worst first; the sentence of a failed task says it itself."""
    remedies = dict.fromkeys(finding.remedy for finding in findings)
    return " ".join(remedies)


def _late(run: RunRecord | None, ready: Amount, now: datetime) -> Amount:
    """The conversions that miss the import: the forecast ones, all that waited if a forecast is stale, all ready without one."""
    forecasts = run.forecasts.values() if run and not run.is_ended else ()
    if not forecasts:
        return ready
    return min(ready, sum((_late_by(forecast, now) for forecast in forecasts), Amount()), key=lambda amount: amount.rows)


def _late_by(forecast: Forecast, now: datetime) -> Amount:
    waiting = forecast.waiting
    return waiting.late + waiting.expiring if forecast.stands(now) else waiting.total


def _why(stake: Stake, unread: Sequence[str]) -> list[str]:
    if stake.run is None:
        return [_sentences(stake.refused) or "No run of tonight has come past its plan task, and none has said why."]
    found = [_sentences(stake.run.causes)] if stake.run.causes else []
    if unread and not any(finding.cause is Cause.NOT_READ for finding in stake.run.causes):
        found.append(f"Not read so far: {', '.join(unread)}.")
    troubles = [f"{trouble} ({amount})" for trouble, amount in stake.ready.items() if trouble]
    if troubles and not any(finding.cause is Cause.NOT_SENT for finding in stake.run.causes):
        found.append(f"Last trouble: {'; '.join(troubles)}.")
    if not found:
        found.append("The last run has ended." if stake.run.is_ended else "The run is still going.")
    if stake.run.is_rehearsal:
        found.append("The last run was a rehearsal and sent nothing; the configuration says live by now.")
    if stake.in_doubt.rows:
        found.append(f"In doubt, since the answer was lost or leaves it open: {stake.in_doubt}.")
    return found
