"""From the evidence of a run to its verdict."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median

from webflow_conversions.delivery.answers import with_status
from webflow_conversions.pipeline.causes import Cause, Level
from webflow_conversions.pipeline.failures import Failure
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.reconciliation import MISSING, PushAccount, SourceAccount
from webflow_conversions.pipeline.verdict import (
    Finding,
    Verdict,
    finding_of,
    in_doubt,
    not_sent,
    of_failure,
    of_waiting,
    worst_first,
)
from webflow_conversions.rules.amounts import Amount
from webflow_conversions.rules.states import BY_A_PERSON, REFUSED_PREFIX, SKIPPED, Reason, ReasonKind, State, explain

LISTED_REASONS = 3
"""The reasons that a sentence names at most; the others are counted together."""

LISTED_WORDS = 5
"""The answers of Webflow that a sentence quotes at most; the others are counted together."""

LEAST_USUAL_ROWS = 20
"""A source that usually has fewer rows than this has no volume that could fall."""

ENOUGH_RETURNED = 10
"""Least number of conversions that a source stopped returning and returned again for it to be no accident."""

ENOUGH_NIGHTS = 2
"""Earlier nights of the same weekday that are needed before a volume is called usual."""


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

    ``failures`` are the tasks that failed, ``notes`` are sentences of tasks that gave up a part of their work,
    ``hints`` are those that stop nothing, with their causes.
    ``whole_window``: the run reads the whole 2 days. ``is_rehearsal``: it was to send nothing. ``is_forced``: a person sent it
    past the guards.
    """

    accounts: Mapping[str, SourceAccount]
    pushes: Sequence[PushAccount] = ()
    ended: Sequence[Ended] = ()
    failures: Sequence[Failure] = ()
    notes: Sequence[str] = ()
    hints: Sequence[tuple[Cause, str]] = ()
    usual: Usual = field(default_factory=dict)
    whole_window: bool = True
    is_rehearsal: bool = False
    is_forced: bool = False


def judge(evidence: Evidence, limits: Limits) -> Verdict:
    """The verdict on a run; total, and the same evidence always gives the same one."""
    found = [_rehearsal(evidence.accounts)] if evidence.is_rehearsal else []
    found += _of_failures(evidence)
    found += [finding_of(Cause.TASK_FAILED, "", sentence) for sentence in evidence.notes]
    found += [finding_of(cause, "", sentence) for cause, sentence in evidence.hints]
    for source, account in evidence.accounts.items():
        found += _of_account(source, account)
        found += _of_content(source, account, evidence, limits)
    found += _of_endings(evidence)
    found += _of_pushes(evidence)
    return Verdict(findings=tuple(worst_first(found)))


def _of_failures(evidence: Evidence) -> list[Finding]:
    """The tasks that failed, each sentence once; what reconcile itself met before says nothing."""
    accounts = evidence.accounts.values()
    is_all_out = not any(
        account.in_doubt.rows or account.would_send.rows or any(amount.rows for amount in account.ready.values())
        for account in accounts
    )
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
        found.append(finding_of(Cause.NOT_READ, source, "was not read to its end"))
    else:
        for sentence in _unbalanced(account):
            found.append(finding_of(Cause.NOT_BALANCED, source, sentence))
    found += [not_sent(source, trouble, amount) for trouble, amount in account.ready.items()]
    if account.in_doubt.rows:
        found.append(in_doubt(source, account.in_doubt))
    return found


def _rehearsal(accounts: Mapping[str, SourceAccount]) -> Finding:
    """That the run sent nothing, or nothing more, and what a live one would have sent."""
    by_source = {source: account.would_send for source, account in accounts.items() if account.would_send.rows}
    total = sum(by_source.values(), Amount())
    parts = f" ({', '.join(f'{source} {amount.rows:,}' for source, amount in by_source.items())})" if len(by_source) > 1 else ""
    what = f"{total} would have been{parts}" if total.rows else "there was nothing to send"
    sent = sum((account.sent for account in accounts.values()), Amount())
    began = f"the run became a rehearsal after {sent} had been accepted" if sent.rows else "this was a rehearsal"
    return finding_of(Cause.REHEARSAL, "", f"{began}, and nothing {'more ' if sent.rows else ''}was sent: {what}", total)


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
        return [finding_of(Cause.NOT_BALANCED, "", sentence)]
    return []


# What a source is made of

_ON_ITS_WAY = frozenset({State.READY, State.SENDING, State.ACCEPTED})


def _was_sendable(state: str, reason: str | None) -> bool:
    """Whether it could be sent, whoever did so: what only rehearsals looked at would have gone out, and what waits for its visits
    goes out in the next night.
    """
    return state in _ON_ITS_WAY or reason in (Reason.EXPIRED_IN_REHEARSAL, Reason.NOT_LOADED_YET)


def _of_content(source: str, account: SourceAccount, evidence: Evidence, limits: Limits) -> list[Finding]:
    tally = account.tally
    if tally is None:
        return []
    found = _nothing_sendable(source, account, whole_window=evidence.whole_window)
    names_all_reasons = any(finding.cause is Cause.NOTHING_SENDABLE for finding in found)
    rejected = _rejected(account)
    if not found and rejected.rows:
        share = None if evidence.is_forced else limits.rejected_share
        is_beyond = share is not None and _rejected(account, but=SKIPPED).rows > tally.recorded.rows * share
        sentence = f"{rejected} of {tally.recorded} cannot be sent as they are ({_reasons(account)})"
        level = Level.ATTENTION if is_beyond else Level.NOTE
        found.append(finding_of(Cause.REJECTED, source, sentence, rejected, level))
    ahead = account.new.get((State.FUTURE, None), Amount())
    if ahead.rows and not names_all_reasons:
        sentence = f"{ahead} of {tally.recorded} {'is' if ahead.rows == 1 else 'are'} dated in the future"
        level = Level.ATTENTION if ahead.rows * 2 > tally.recorded.rows else Level.NOTE
        found.append(finding_of(Cause.DATED_IN_FUTURE, source, sentence, ahead, level))
    if tally.conflicting.rows:
        share = tally.conflicting.rows / tally.read.rows
        is_beyond = limits.conflicting_share is not None and share > limits.conflicting_share
        sentence = f"{_rows(tally.conflicting)} of {tally.read.rows:,} ({share:.0%}) have the ID of another row and other content"
        level = Level.ATTENTION if is_beyond else Level.NOTE
        found.append(finding_of(Cause.CONFLICTING_IDS, source, sentence, tally.conflicting, level))
    late = account.new.get((State.EXPIRED, Reason.EXPIRED_BEFORE_SEEN), Amount())
    if late.rows and not names_all_reasons:
        sentence = f"{late} were older than 2 days when they were first read"
        found.append(finding_of(Cause.EXPIRED_BEFORE_SEEN, source, sentence, late))
    if account.sent_again:
        sentence = f"{account.sent_again:,} of {account.sent.rows:,} accepted conversions went out more than once"
        found.append(finding_of(Cause.SENT_AGAIN, source, sentence))
    if account.changed_after_sent:
        were = "conversion was" if account.changed_after_sent == 1 else "conversions were"
        sentence = f"{account.changed_after_sent:,} {were} changed by the source after being sent"
        found.append(finding_of(Cause.CHANGED_AFTER_SENT, source, sentence))
    found += _returned(source, account)
    found += of_waiting(source, account.identified)
    if evidence.whole_window and limits.empty_source and not tally.read.rows:
        found.append(finding_of(Cause.NOTHING_READ, source, "the query returned no rows"))
    if evidence.whole_window:
        found += _volume(source, account, evidence.usual.get(source, ()), limits)
    return found


def _returned(source: str, account: SourceAccount) -> list[Finding]:
    if not account.returned:
        return []
    what = f"{account.returned:,} conversion{'' if account.returned == 1 else 's'}"
    sentence = f"{what} came back that it had stopped returning, although it promises every row"
    level = Level.ATTENTION if account.returned >= ENOUGH_RETURNED else Level.NOTE
    return [finding_of(Cause.RETURNED, source, sentence, Amount(rows=account.returned), level)]


def _nothing_sendable(source: str, account: SourceAccount, *, whole_window: bool) -> list[Finding]:
    """A source that has rows, and can send none: of those of the window, or of all if none is of the window.

    What lies outside the window of a whole run came since it began, and excuses nothing; a run for a date is for few rows. That
    people decided about all rows of the window is no fault of the source.
    """
    tally = account.tally
    if tally is None or tally.read.rows <= tally.outside.rows or (tally.outside.rows and not whole_window):
        return []
    of_window = account.in_window
    if any(amount.rows for key, amount in of_window.items() if _was_sendable(*key)):
        return []
    if of_window and all(reason in BY_A_PERSON for _, reason in of_window):
        return []
    unknown = of_window.get((State.HELD, Reason.UNKNOWN_USER), Amount())
    if unknown.rows:
        sentence = f"{unknown} are valid, and not one of their users is known"
        return [finding_of(Cause.NOBODY_KNOWN, source, sentence, unknown)]
    was_sendable = any(amount.rows for key, amount in account.states.items() if _was_sendable(*key))
    ended = {key: amount for key, amount in account.new.items() if key[0] in (State.REJECTED, State.EXPIRED)}
    new = sum((amount for key, amount in ended.items() if not _was_sendable(*key)), Amount())
    if was_sendable and not new.rows:
        return []  # The query returns more than the window, and nothing has happened for 2 days.
    blocked = new if was_sendable else tally.read - tally.outside
    sentence = f"none of {_rows(blocked)} can be sent ({_reasons(account, too_old=tally.too_old)})"
    return [finding_of(Cause.NOTHING_SENDABLE, source, sentence, blocked)]


def _rejected(account: SourceAccount, *, but: Collection[str] = ()) -> Amount:
    """The rows that are wrong themselves, or whose user is; what Webflow refused is told of by the run that sent it.

    :param but: reasons that are left out.
    """
    return sum(
        (
            amount
            for (state, reason), amount in account.states.items()
            if state == State.REJECTED and reason and reason not in but and explain(reason).kind is not ReasonKind.DELIVERY
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
    usual_value, factor = _usual_value(nights), Decimal(str(limits.fall_factor))
    has_few_rows, has_little_value = tally.read.rows * factor < usual, tally.read.value * factor < usual_value
    if usual < LEAST_USUAL_ROWS or not (has_few_rows or has_little_value):
        return []
    missing = Amount(rows=max(int(usual) - tally.read.rows, 0), value=usual_value - tally.read.value)
    what = f"{usual:,.0f} are" if has_few_rows else f"a value of {usual_value:,.2f} is"
    sentence = (
        f"{_rows(tally.read)} read, and {what} usual on this weekday (the last {len(nights)}): "
        f"some {missing.value:,.2f} are missing"
    )
    return [finding_of(Cause.VOLUME_FELL, source, sentence, missing, Level(limits.fall))]


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
    went_out = {State.ACCEPTED, State.READY} if evidence.is_rehearsal else {State.ACCEPTED}
    for source in dict.fromkeys(one.source for one in evidence.ended):
        ended = [one for one in evidence.ended if one.source == source]
        refused = [one for one in ended if (one.reason or "").startswith(REFUSED_PREFIX)]
        if refused:
            found.append(_refused(source, refused, evidence.accounts.get(source)))
        mismatched = [one for one in ended if one.reason == Reason.ECHO_MISMATCH]
        if mismatched:
            amount, words = _sum(mismatched), ", ".join(sorted({one.words for one in mismatched if one.words}))
            sentence = f"{amount} possibly received: each answer was a success, and not our event{f' ({words})' if words else ''}"
            found.append(finding_of(Cause.POSSIBLY_RECEIVED, source, sentence, amount))
        for reason in (Reason.EXPIRED_UNSENT, Reason.EXPIRED_IN_DOUBT):
            amount = _sum(one for one in ended if one.reason == reason and one.had_time)
            if amount.rows:
                sentence = f"{amount} grew older than 2 days without being accepted ({reason})"
                found.append(finding_of(Cause.EXPIRED_UNSENT, source, sentence, amount))
        rehearsed = _sum(one for one in ended if one.reason == Reason.EXPIRED_IN_REHEARSAL)
        if rehearsed.rows:
            sentence = f"{rehearsed} grew older than 2 days after they had been rehearsed: they were never sent"
            found.append(finding_of(Cause.EXPIRED_IN_REHEARSAL, source, sentence, rehearsed))
        unidentified = _sum(one for one in ended if one.reason == Reason.EXPIRED_UNIDENTIFIED)
        if unidentified.rows:
            account = evidence.accounts.get(source)
            others = account is not None and any(
                amount.rows for (state, _), amount in account.states.items() if state in went_out
            )
            sentence = f"{unidentified} grew older than 2 days without a known user"
            level = Level.NOTE if others else Level.ATTENTION
            found.append(finding_of(Cause.EXPIRED_UNIDENTIFIED, source, sentence, unidentified, level))
    return found


def _refused(source: str, refused: Sequence[Ended], account: SourceAccount | None) -> Finding:
    """A refusal by Webflow in its own words, counted by them."""
    amount = _sum(refused)
    by_words: dict[str, int] = {}
    for one in refused:
        words = with_status((one.reason or "").removeprefix(REFUSED_PREFIX), one.words)
        by_words[words] = by_words.get(words, 0) + one.amount.rows
    ordered = sorted(by_words.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{words} ({rows:,})" for words, rows in ordered[:LISTED_WORDS]]
    rest = sum(rows for _, rows in ordered[LISTED_WORDS:])
    if rest:
        listed.append(f"other answers ({rest:,})")
    of = f" of {account.sent.rows + amount.rows:,} that it answered" if account and account.sent.rows else ""
    return finding_of(Cause.REFUSED, source, f"Webflow refused {amount}{of}: {', '.join(listed)}", amount)


def _sum(ended: Iterable[Ended]) -> Amount:
    return sum((one.amount for one in ended), Amount())


def _rows(amount: Amount) -> str:
    return f"{amount.rows:,} row{'' if amount.rows == 1 else 's'} ({amount.value:,.2f})"
