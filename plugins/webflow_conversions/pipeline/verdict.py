"""Whether a run did what it is for: the one definition of success, for each source and for the run.

``pipeline/judgement.py`` comes to the verdict. Reconcile, the page, the notices, the metrics and the JSON API all read it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from webflow_conversions.pipeline.causes import CAUSES, Cause, Level
from webflow_conversions.pipeline.failures import Failure
from webflow_conversions.pipeline.identified import SourceIdentified
from webflow_conversions.rules.amounts import Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is to be known of a run. ``source`` is empty for what concerns the run as a whole.

    ``sentence`` is the cause in words, without a full stop; ``amount`` the rows and the money that it is about.
    """

    cause: Cause
    level: Level
    source: str
    sentence: str
    amount: Amount = field(default_factory=Amount)

    @property
    def remedy(self) -> str:
        """What to do, in one sentence."""
        return CAUSES[self.cause].remedy

    def to_json(self) -> dict[str, Any]:
        """For the run's record and the JSON API."""
        return {
            "cause": str(self.cause),
            "level": str(self.level),
            "source": self.source,
            "sentence": self.sentence,
            **self.amount.to_json(),
            "remedy": self.remedy,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a run's record."""
        return cls(
            cause=Cause(document["cause"]),
            level=Level(document["level"]),
            source=document["source"],
            sentence=document["sentence"],
            amount=Amount.from_json(document),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings of a run, the worst first."""

    findings: Sequence[Finding] = ()

    @property
    def level(self) -> Level:
        """The worst level of all findings."""
        return Level.worst(finding.level for finding in self.findings)

    def of(self, source: str) -> Level:
        """The level of a source."""
        return Level.worst(finding.level for finding in self.findings if finding.source == source)

    @property
    def problems(self) -> list[str]:
        """The sentences of what keeps the run from being green."""
        return [finding.sentence for finding in self.findings if not finding.level.is_green]

    def to_json(self) -> dict[str, Any]:
        """For the run's record and the JSON API."""
        return {"level": str(self.level), "findings": [finding.to_json() for finding in self.findings]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a run's record."""
        return cls(findings=tuple(Finding.from_json(finding) for finding in document.get("findings", ())))


_LASTING = frozenset(
    {
        Cause.REFUSED,
        Cause.POSSIBLY_RECEIVED,
        Cause.EXPIRED_UNSENT,
        Cause.EXPIRED_UNIDENTIFIED,
        Cause.EXPIRED_IN_REHEARSAL,
        Cause.SENT_AGAIN,
    }
)
"""Causes that a later run does not find again: each is about conversions that one run brought to their end."""


def of_night(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on the runs of one night, the latest first: what the last one found, and what an earlier one ended for good."""
    latest, earlier = verdicts[:1], verdicts[1:]
    found = [finding for verdict in latest for finding in verdict.findings]
    found += [finding for verdict in earlier for finding in verdict.findings if finding.cause in _LASTING]
    return Verdict(findings=tuple(worst_first(found)))


def not_sent(source: str, trouble: str | None, amount: Amount) -> Finding:
    """Conversions that are ready and were not sent; ``trouble`` is how their last attempt failed."""
    last = f" (last trouble: {trouble})" if trouble else ""
    return finding_of(Cause.NOT_SENT, source, f"{amount} ready, not sent{last}", amount)


def in_doubt(source: str, amount: Amount) -> Finding:
    """Conversions whose answer was lost or leaves it open, and for which no push waits."""
    return finding_of(
        Cause.IN_DOUBT, source, f"{amount} in doubt: a request left, and its answer was lost or leaves it open", amount
    )


def of_waiting(source: str, identified: SourceIdentified) -> list[Finding]:
    """What became of the conversions that waited from earlier runs."""
    found: list[Finding] = []
    if identified.lost_user:
        sentence = f"{identified.lost_user:,} of {identified.had_user:,} conversions that had a known user have none any more"
        found.append(finding_of(Cause.LOST_USERS, source, sentence, Amount(rows=identified.lost_user)))
    if identified.unseen.rows:
        sentence = f"{identified.unseen} wait and were not returned this time; they are due all the same"
        found.append(finding_of(Cause.UNSEEN, source, sentence, identified.unseen))
    if identified.withdrawn.rows:
        sentence = f"{identified.withdrawn} were withdrawn: the source no longer returns them"
        found.append(finding_of(Cause.WITHDRAWN, source, sentence, identified.withdrawn))
    if identified.near_keys:
        sentence = (
            f"{identified.near_keys:,} of {identified.asked_keys:,} unknown identity keys equal a known one but for case, "
            "blanks, zeros or .0"
        )
        found.append(finding_of(Cause.NEAR_KEYS, source, sentence))
    return found


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of their level; of one level, as they come."""
    order = list(Level)
    return sorted(findings, key=lambda finding: -order.index(finding.level))


def causes(verdict: Verdict | None, failures: Sequence[Failure]) -> list[Finding]:
    """Why a run is not green: the sentences of its failed tasks, then what its verdict found, each once."""
    found = [] if verdict is None else list(verdict.findings)
    known = {finding.sentence for finding in found}
    told = [failure for failure in failures if verdict is None or not failure.is_verdict]
    found = [finding for finding in map(of_failure, told) if finding.sentence not in known] + found
    return list({finding.sentence: finding for finding in found if not finding.level.is_green}.values())


def of_failure(failure: Failure, level: Level | None = None) -> Finding:
    """What a failed task says, as a finding."""
    return Finding(
        cause=Cause.TASK_FAILED,
        level=level or CAUSES[Cause.TASK_FAILED].level,
        source=failure.source,
        sentence=failure.cause,
    )


def unread(sources: Iterable[str]) -> Verdict:
    """The verdict on a run of which nothing else is known than that it did not read these sources."""
    return Verdict(findings=tuple(finding_of(Cause.NOT_READ, source, "was not read to its end") for source in sources))


def finding_of(cause: Cause, source: str, sentence: str, amount: Amount | None = None, level: Level | None = None) -> Finding:
    """A finding whose sentence names its source; its level is that of the cause unless another is given."""
    prefix = f"{source}: " if source else ""
    return Finding(
        cause=cause,
        level=level or CAUSES[cause].level,
        source=source,
        sentence=f"{prefix}{sentence}",
        amount=amount or Amount(),
    )
