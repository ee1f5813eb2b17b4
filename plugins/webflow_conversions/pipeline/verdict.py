"""Whether a run did what it is for: the one definition of success, for each source and for the run.

Reconcile, the conversions page, the notices, the metrics and the JSON API all read this verdict. ``docs/verdicts.md``
is generated from :data:`CAUSES`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from statistics import median
from typing import Any, Self

from webflow_conversions.pipeline.failures import Failure
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.reconciliation import MISSING, PushAccount, SourceAccount, to_json
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import REFUSED_PREFIX, Reason, ReasonKind, State, explain

LISTED_REASONS = 3
"""The reasons that a sentence names at most; the others are counted together."""

LISTED_WORDS = 5
"""The answers of Webflow that a sentence quotes at most; the others are counted together."""

LEAST_USUAL_ROWS = 20
"""A source that usually has fewer rows than this has no volume that could fall."""

ENOUGH_NIGHTS = 2
"""Earlier nights of the same weekday that are needed before a volume is called usual."""


class Level(StrEnum):
    """How good a run or a source was, from best to worst. A run is green up to ``note``."""

    GOOD = "good"
    NOTE = "note"
    ATTENTION = "attention"
    FAILED = "failed"

    @property
    def is_green(self) -> bool:
        """Whether the run succeeds in Airflow."""
        return self in (Level.GOOD, Level.NOTE)

    @property
    def meaning(self) -> str:
        """The level in words."""
        return _MEANINGS[self]

    @classmethod
    def worst(cls, levels: Iterable["Level"]) -> "Level":
        """The worst of the levels; good for none."""
        return max(levels, key=list(cls).index, default=cls.GOOD)


_MEANINGS = {
    Level.GOOD: "good",
    Level.NOTE: "good, with a note",
    Level.ATTENTION: "needs somebody",
    Level.FAILED: "failed",
}


_HEADLINES = {
    Level.GOOD: "The run did all it is for",
    Level.NOTE: "The run did all it is for",
    Level.ATTENTION: "The run needs somebody",
    Level.FAILED: "The run is not complete",
}


class Cause(StrEnum):
    """What a finding is about; the codes that the ledger and the JSON API carry."""

    NOT_READ = "not_read"
    TASK_FAILED = "task_failed"
    NOT_SENT = "not_sent"
    IN_DOUBT = "in_doubt"
    EXPIRED_UNSENT = "expired_unsent"
    NOT_BALANCED = "not_balanced"
    NOTHING_SENDABLE = "nothing_sendable"
    NOTHING_READ = "nothing_read"
    NOBODY_KNOWN = "nobody_known"
    REFUSED = "refused"
    EXPIRED_UNIDENTIFIED = "expired_unidentified"
    CONFLICTING_IDS = "conflicting_ids"
    VOLUME_FELL = "volume_fell"
    REJECTED = "rejected"
    EXPIRED_BEFORE_SEEN = "expired_before_seen"
    SENT_AGAIN = "sent_again"
    CHANGED_AFTER_SENT = "changed_after_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a cause means: its level, the condition under which it is found, and what to do, a sentence each.

    ``level`` is the one that it has if nothing else is said; ``also`` is another one that it can have.
    """

    level: Level
    condition: str
    remedy: str
    also: Level | None = None


CAUSES: dict[Cause, Kind] = {
    Cause.NOT_READ: Kind(
        level=Level.FAILED,
        condition="A source was not read to its end.",
        remedy="See the cause of its extract task; clear the task once its database is back.",
    ),
    Cause.TASK_FAILED: Kind(
        level=Level.FAILED,
        also=Level.NOTE,
        condition="A task failed, or gave up a part of its work. A note, where it is a push whose rows another one sent.",
        remedy="Do what the sentence says, then clear the task.",
    ),
    Cause.NOT_SENT: Kind(
        level=Level.FAILED,
        condition="Conversions of the run are due and were not sent.",
        remedy="Mend the cause, then clear push and reconcile or start a run: they go out until they are 2 days old.",
    ),
    Cause.IN_DOUBT: Kind(
        level=Level.FAILED,
        condition="A request may have left, and no push waits for its answer; or the answer was a success, and not our event.",
        remedy="With in_doubt: resend the next run sends them again; with hold decide on the conversions page.",
    ),
    Cause.EXPIRED_UNSENT: Kind(
        level=Level.FAILED,
        condition="Conversions grew older than 2 days before Webflow accepted them.",
        remedy="Nothing brings them back; see the failed runs of the 2 days before.",
    ),
    Cause.NOT_BALANCED: Kind(
        level=Level.FAILED,
        condition="Rows or money that were read are not all in exactly one state, or a count differs from the ledger's.",
        remedy="Report it with the run's record: the product has lost count.",
    ),
    Cause.NOTHING_SENDABLE: Kind(
        level=Level.ATTENTION,
        condition="A source returned rows, and none of them can be sent, whatever their number.",
        remedy="Look at the reasons: a changed column, time format, time zone or goal stops a whole source.",
    ),
    Cause.NOTHING_READ: Kind(
        level=Level.NOTE,
        condition="The query of a source returned no rows for the whole 2 days (guards.empty_source).",
        remedy="Check the load of the warehouse and the source's query; rows that come later are sent until they are 2 days old.",
    ),
    Cause.NOBODY_KNOWN: Kind(
        level=Level.ATTENTION,
        condition="A source has valid conversions of the window, and not one of their users is known.",
        remedy="Compare identity_key of the source with that of known_users (case, blanks, leading zeros), and check that the "
        "site calls wf.setUserId().",
    ),
    Cause.REFUSED: Kind(
        level=Level.ATTENTION,
        condition="Webflow refused conversions of the run, whatever their number.",
        remedy="Read Webflow's words; the rows go out again once the row or the configuration changes, or by hand.",
    ),
    Cause.EXPIRED_UNIDENTIFIED: Kind(
        level=Level.ATTENTION,
        also=Level.NOTE,
        condition="Conversions grew older than 2 days without a known user. A note, where others of the source were accepted.",
        remedy="If there are more than usual, check that the site calls wf.setUserId(), and known_users.",
    ),
    Cause.CONFLICTING_IDS: Kind(
        level=Level.ATTENTION,
        also=Level.NOTE,
        condition="Rows have the conversion ID of another row and other content. It is a note up to guards.conflicting_share.",
        remedy="Return an ID that is unique in the source: an order number, not a name or a customer.",
    ),
    Cause.VOLUME_FELL: Kind(
        level=Level.NOTE,
        also=Level.ATTENTION,
        condition="A source returned far fewer rows than it usually does on this weekday (guards.fall_factor). "
        "guards.fall: attention makes it one.",
        remedy="Check the load of the warehouse and the source's query; nothing that was not read is lost for 2 days.",
    ),
    Cause.REJECTED: Kind(
        level=Level.NOTE,
        condition="Some conversions of a source cannot be sent as they are.",
        remedy="Look at the reasons; the rows go out once they are corrected, until they are 2 days old.",
    ),
    Cause.EXPIRED_BEFORE_SEEN: Kind(
        level=Level.NOTE,
        condition="Conversions were older than 2 days when this run read them for the first time.",
        remedy="Load the warehouse sooner.",
    ),
    Cause.SENT_AGAIN: Kind(
        level=Level.NOTE,
        condition="Conversions were accepted after an attempt whose answer was lost or left it open: Webflow may have two.",
        remedy="Nothing; they are listed on the page as sent again.",
    ),
    Cause.CHANGED_AFTER_SENT: Kind(
        level=Level.NOTE,
        condition="The source changed conversions after they were sent.",
        remedy="Nothing can be corrected at Webflow; they are listed on the page as changed.",
    ),
}


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
            **to_json(self.amount),
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
            amount=Amount(rows=document["rows"], value=Decimal(document["value"])),
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

    @property
    def headline(self) -> str:
        """The level as the beginning of a sentence."""
        return _HEADLINES[self.level]

    def to_json(self) -> dict[str, Any]:
        """For the run's record and the JSON API."""
        return {"level": str(self.level), "findings": [finding.to_json() for finding in self.findings]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Out of a run's record."""
        return cls(findings=tuple(Finding.from_json(finding) for finding in document.get("findings", ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Conversions that a run brought to an end other than acceptance.

    ``words`` is what Webflow said, where it refused them. ``had_time``: they could have been sent when they were first seen.
    """

    source: str
    state: str
    reason: str | None
    words: str | None
    had_time: bool
    amount: Amount


Usual = Mapping[str, Sequence[Amount]]
"""The rows read by source in the earlier nights of the same weekday, the latest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a verdict is based on: the accounts of the sources, the pushes, what ended, and what is usual.

    ``failures`` are the tasks that failed, ``notes`` are sentences of tasks that gave up a part of their work.
    ``whole_window``: the run reads the whole 2 days.
    """

    accounts: Mapping[str, SourceAccount]
    pushes: Sequence[PushAccount] = ()
    ended: Sequence[Ended] = ()
    failures: Sequence[Failure] = ()
    notes: Sequence[str] = ()
    usual: Usual = field(default_factory=dict)
    whole_window: bool = True


def judge(evidence: Evidence, limits: Limits) -> Verdict:
    """The verdict on a run; total, and the same evidence always gives the same one."""
    found = _of_failures(evidence)
    found += [_finding(Cause.TASK_FAILED, "", sentence) for sentence in evidence.notes]
    for source, account in evidence.accounts.items():
        found += _of_account(source, account)
        found += _of_content(source, account, evidence, limits)
    found += _of_endings(evidence)
    found += _of_pushes(evidence)
    return Verdict(findings=tuple(worst_first(found)))


_LASTING = frozenset({Cause.REFUSED, Cause.EXPIRED_UNSENT, Cause.EXPIRED_UNIDENTIFIED, Cause.SENT_AGAIN})
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
    return _finding(Cause.NOT_SENT, source, f"{amount} ready, not sent{last}", amount)


def in_doubt(source: str, amount: Amount) -> Finding:
    """Conversions whose answer was lost or leaves it open, and for which no push waits."""
    return _finding(
        Cause.IN_DOUBT, source, f"{amount} in doubt: a request left, and its answer was lost or leaves it open", amount
    )


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
    return Verdict(findings=tuple(_finding(Cause.NOT_READ, source, "was not read to its end") for source in sources))


def _finding(cause: Cause, source: str, sentence: str, amount: Amount | None = None, level: Level | None = None) -> Finding:
    prefix = f"{source}: " if source else ""
    return Finding(
        cause=cause,
        level=level or CAUSES[cause].level,
        source=source,
        sentence=f"{prefix}{sentence}",
        amount=amount or Amount(),
    )


def _of_failures(evidence: Evidence) -> list[Finding]:
    """The tasks that failed, each sentence once; what reconcile itself met before says nothing."""
    accounts = evidence.accounts.values()
    is_all_out = not any(account.in_doubt.rows or any(amount.rows for amount in account.ready.values()) for account in accounts)
    found = (
        of_failure(failure, Level.NOTE if failure.task == "push" and is_all_out else None)
        for failure in evidence.failures
        if failure.task != "reconcile"
    )
    return list({finding.sentence: finding for finding in found}.values())


# What adds up, and what should have gone out


def _of_account(source: str, account: SourceAccount) -> list[Finding]:
    found: list[Finding] = []
    tally = account.tally
    if tally is None:
        found.append(_finding(Cause.NOT_READ, source, "was not read to its end"))
    else:
        for sentence in _unbalanced(account):
            found.append(_finding(Cause.NOT_BALANCED, source, sentence))
    found += [not_sent(source, trouble, amount) for trouble, amount in account.ready.items()]
    if account.in_doubt.rows:
        found.append(in_doubt(source, account.in_doubt))
    return found


def _unbalanced(account: SourceAccount) -> list[str]:
    tally = account.tally
    found: list[str] = []
    if tally is None:
        return found
    if not tally.adds_up:
        found.append(f"{tally.read} read, but {tally.accounted} accounted for")
    in_states = sum(account.states.values(), Amount())
    if in_states != tally.recorded:
        found.append(f"{tally.recorded} recorded, but {in_states} in the run's states")
    missing = account.states.get((MISSING, None))
    if missing is not None:
        found.append(f"{missing} recorded, but gone from the ledger")
    if account.altered.rows:
        altered = Amount(rows=account.altered.rows, value=account.altered.value)
        found.append(f"{altered} in the ledger, but read with a value of {account.altered.read_value:,.2f}")
    return found


def _of_pushes(evidence: Evidence) -> list[Finding]:
    counted = sum(push.accepted for push in evidence.pushes)
    recorded = sum(account.sent.rows for account in evidence.accounts.values())
    if evidence.pushes and all(push.is_complete for push in evidence.pushes) and counted != recorded:
        sentence = f"the pushes counted {counted:,} accepted conversions, the ledger has {recorded:,}"
        return [_finding(Cause.NOT_BALANCED, "", sentence)]
    return []


# What a source is made of

_ON_ITS_WAY = frozenset({State.READY, State.SENDING, State.ACCEPTED})


def _of_content(source: str, account: SourceAccount, evidence: Evidence, limits: Limits) -> list[Finding]:
    tally = account.tally
    if tally is None:
        return []
    found = _nothing_sendable(source, account)
    rejected = _rejected(account)
    if not found and rejected.rows:
        sentence = f"{rejected} of {tally.recorded} cannot be sent as they are ({_reasons(account)})"
        found.append(_finding(Cause.REJECTED, source, sentence, rejected))
    if tally.conflicting.rows:
        share = tally.conflicting.rows / tally.read.rows
        is_beyond = limits.conflicting_share is not None and share > limits.conflicting_share
        sentence = f"{_rows(tally.conflicting)} of {tally.read.rows:,} ({share:.0%}) have the ID of another row and other content"
        level = Level.ATTENTION if is_beyond else Level.NOTE
        found.append(_finding(Cause.CONFLICTING_IDS, source, sentence, tally.conflicting, level))
    late = account.new.get((State.EXPIRED, Reason.EXPIRED_BEFORE_SEEN), Amount())
    if late.rows and not any(finding.cause is Cause.NOTHING_SENDABLE for finding in found):
        sentence = f"{late} were older than 2 days when they were first read"
        found.append(_finding(Cause.EXPIRED_BEFORE_SEEN, source, sentence, late))
    if account.sent_again:
        sentence = f"{account.sent_again:,} of {account.sent.rows:,} accepted conversions went out more than once"
        found.append(_finding(Cause.SENT_AGAIN, source, sentence))
    if account.changed_after_sent:
        sentence = f"{account.changed_after_sent:,} conversions were changed by the source after they were sent"
        found.append(_finding(Cause.CHANGED_AFTER_SENT, source, sentence))
    if evidence.whole_window and limits.empty_source and not tally.read.rows:
        found.append(_finding(Cause.NOTHING_READ, source, "the query returned no rows"))
    if evidence.whole_window:
        found += _volume(source, account, evidence.usual.get(source, ()), limits)
    return found


def _nothing_sendable(source: str, account: SourceAccount) -> list[Finding]:
    """A source that has rows, and can send none: of those of the window, or of all if none is of the window."""
    tally = account.tally
    if tally is None or not tally.read.rows or tally.outside.rows:
        return []
    of_window = account.in_window
    if any(amount.rows for (state, _), amount in of_window.items() if state in _ON_ITS_WAY):
        return []
    unknown = of_window.get((State.HELD, Reason.UNKNOWN_USER), Amount())
    if unknown.rows:
        sentence = f"{unknown} are valid, and not one of their users is known"
        return [_finding(Cause.NOBODY_KNOWN, source, sentence, unknown)]
    was_sendable = any(amount.rows for (state, _), amount in account.states.items() if state in _ON_ITS_WAY)
    new = sum((amount for (state, _), amount in account.new.items() if state in (State.REJECTED, State.EXPIRED)), Amount())
    if was_sendable and not new.rows:
        return []  # The query returns more than the window, and nothing has happened for 2 days.
    blocked = new if was_sendable else tally.read
    sentence = f"none of {_rows(blocked)} can be sent ({_reasons(account, too_old=tally.too_old)})"
    return [_finding(Cause.NOTHING_SENDABLE, source, sentence, blocked)]


def _rejected(account: SourceAccount) -> Amount:
    """The rows that are wrong themselves, or whose user is; what Webflow refused is told of by the run that sent it."""
    return sum(
        (
            amount
            for (state, reason), amount in account.states.items()
            if state == State.REJECTED and reason and explain(reason).kind is not ReasonKind.DELIVERY
        ),
        Amount(),
    )


def _reasons(account: SourceAccount, too_old: Amount | None = None) -> str:
    """The most frequent reasons with their numbers: ``invalid_timestamp 58, missing_identity 2``."""
    found: dict[str, int] = {"older than 30 days": too_old.rows} if too_old and too_old.rows else {}
    for (state, reason), amount in account.states.items():
        is_refused = (reason or "").startswith(REFUSED_PREFIX)
        if too_old is None and (state != State.REJECTED or is_refused):
            continue
        found[reason or state] = found.get(reason or state, 0) + amount.rows
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{reason} {rows:,}" for reason, rows in ordered[:LISTED_REASONS]]
    rest = sum(rows for _, rows in ordered[LISTED_REASONS:])
    return ", ".join([*listed, f"others {rest:,}"] if rest else listed)


def _volume(source: str, account: SourceAccount, nights: Sequence[Amount], limits: Limits) -> list[Finding]:
    tally = account.tally
    if tally is None or limits.fall_factor is None or len(nights) < ENOUGH_NIGHTS:
        return []
    usual = median(night.rows for night in nights)
    if usual < LEAST_USUAL_ROWS or tally.read.rows * limits.fall_factor >= usual:
        return []
    missing = Amount(rows=int(usual) - tally.read.rows, value=_usual_value(nights) - tally.read.value)
    sentence = (
        f"{_rows(tally.read)} read, and {usual:,.0f} are usual on this weekday (the last {len(nights)}): "
        f"some {missing.value:,.2f} are missing"
    )
    return [_finding(Cause.VOLUME_FELL, source, sentence, missing, Level(limits.fall))]


def _usual_value(nights: Sequence[Amount]) -> Decimal:
    return Decimal(median(night.value for night in nights))


def volume_in_words(nights: Sequence[Amount]) -> str:
    """What is usual for a source on a weekday, for people; a first night has no usual."""
    if len(nights) < ENOUGH_NIGHTS:
        return f"no usual volume yet: it is known after {ENOUGH_NIGHTS} nights of the same weekday"
    return f"usually {median(night.rows for night in nights):,.0f} rows on this weekday"


# What a run brought to an end


def _of_endings(evidence: Evidence) -> list[Finding]:
    found: list[Finding] = []
    for source in dict.fromkeys(one.source for one in evidence.ended):
        ended = [one for one in evidence.ended if one.source == source]
        refused = [one for one in ended if (one.reason or "").startswith(REFUSED_PREFIX)]
        if refused:
            found.append(_refused(source, refused, evidence.accounts.get(source)))
        mismatched = [one for one in ended if one.reason == Reason.ECHO_MISMATCH]
        if mismatched:
            amount, words = _sum(mismatched), ", ".join(sorted({one.words for one in mismatched if one.words}))
            sentence = f"{amount} possibly received: each answer was a success, and not our event{f' ({words})' if words else ''}"
            found.append(_finding(Cause.IN_DOUBT, source, sentence, amount))
        for reason in (Reason.EXPIRED_UNSENT, Reason.EXPIRED_IN_DOUBT):
            amount = _sum(one for one in ended if one.reason == reason and one.had_time)
            if amount.rows:
                sentence = f"{amount} grew older than 2 days without being accepted ({reason})"
                found.append(_finding(Cause.EXPIRED_UNSENT, source, sentence, amount))
        unidentified = _sum(one for one in ended if one.reason == Reason.EXPIRED_UNIDENTIFIED)
        if unidentified.rows:
            account = evidence.accounts.get(source)
            others = account is not None and any(
                amount.rows for (state, _), amount in account.states.items() if state == State.ACCEPTED
            )
            sentence = f"{unidentified} grew older than 2 days without a known user"
            level = Level.NOTE if others else Level.ATTENTION
            found.append(_finding(Cause.EXPIRED_UNIDENTIFIED, source, sentence, unidentified, level))
    return found


def _refused(source: str, refused: Sequence[Ended], account: SourceAccount | None) -> Finding:
    """A refusal by Webflow in its own words, counted by them."""
    amount = _sum(refused)
    by_words: dict[str, int] = {}
    for one in refused:
        words = f"HTTP {(one.reason or '').removeprefix(REFUSED_PREFIX)}{f' “{one.words}”' if one.words else ''}"
        by_words[words] = by_words.get(words, 0) + one.amount.rows
    ordered = sorted(by_words.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{words} ({rows:,})" for words, rows in ordered[:LISTED_WORDS]]
    rest = sum(rows for _, rows in ordered[LISTED_WORDS:])
    if rest:
        listed.append(f"other answers ({rest:,})")
    of = f" of {account.sent.rows + amount.rows:,} that it answered" if account and account.sent.rows else ""
    return _finding(Cause.REFUSED, source, f"Webflow refused {amount}{of}: {', '.join(listed)}", amount)


def _sum(ended: Iterable[Ended]) -> Amount:
    return sum((one.amount for one in ended), Amount())


def _rows(amount: Amount) -> str:
    return f"{amount.rows:,} row{'' if amount.rows == 1 else 's'} ({amount.value:,.2f})"
