"""The timeline of a conversion: what happened to it, in the order of time, and what is still ahead."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from webflow_conversions.ledger.search import Conversion, HistoryEntry
from webflow_conversions.rules.credit import Attribution, explain_attribution
from webflow_conversions.rules.states import BY_A_PERSON, WAITING, State
from webflow_conversions.rules.window import MAX_AGE, from_milliseconds, next_import
from webflow_conversions.ui.formatting import moment_in_full
from webflow_conversions.ui.words import reason_words

VERDICT_WORDS: dict[str, str] = {
    Attribution.WILL_COUNT: "will count",
    Attribution.MAY_COUNT: "may count",
    Attribution.WILL_NOT_COUNT: "will not count",
    Attribution.UNKNOWN: "was not known",
}
"""The verdicts as the end of a sentence."""
_TIMES = re.compile(r"\btime (\S+), was (\S+?)(?=;|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One entry; ``is_ahead`` for what is still to come, ``run_id`` the run that did it."""

    at: datetime
    text: str
    detail: str = ""
    run_id: str | None = None
    is_ahead: bool = False


def timeline(conversion: Conversion, history: Sequence[HistoryEntry], now: datetime) -> list[TimelineEntry]:
    """The entries of a conversion."""
    occurred_at = moment_of(conversion.action_timestamp_ms)
    expires_at = moment_of(conversion.action_timestamp_ms, after=MAX_AGE)
    entries = [TimelineEntry(at=conversion.first_seen_at, text=f"First read from {conversion.source}.")]
    if occurred_at:
        entries.append(TimelineEntry(at=occurred_at, text="It happened."))
    entries += [_entry(one) for one in history if one.what != "read" or one.at > conversion.first_seen_at]
    if conversion.sent_at:
        text = f"Request {conversion.attempts} left." if conversion.attempts > 1 else "The request left."
        entries.append(TimelineEntry(at=conversion.sent_at, text=text))
    if conversion.settled_at:
        run_id = None if conversion.reason in BY_A_PERSON else conversion.run_id
        entries.append(TimelineEntry(at=conversion.settled_at, text=_outcome(conversion), run_id=run_id))
    if conversion.state == State.ACCEPTED and conversion.settled_at:
        import_at = next_import(conversion.settled_at)
        entries.append(TimelineEntry(at=import_at, text="Webflow imports it.", is_ahead=import_at > now))
    if (conversion.state in WAITING or conversion.state == State.SENDING) and expires_at and expires_at > now:
        entries.append(TimelineEntry(at=expires_at, text="It is 2 days old, and counts no longer.", is_ahead=True))
    return sorted(entries, key=lambda entry: entry.at)


def moment_of(milliseconds: int | None, *, after: timedelta = timedelta()) -> datetime | None:
    """A timestamp of the ledger, and ``after``; None for none, and for one that no calendar holds."""
    if milliseconds is None:
        return None
    try:
        return from_milliseconds(milliseconds) + after
    except OverflowError:
        return None


def _entry(record: HistoryEntry) -> TimelineEntry:
    detail = _with_moments(record.detail or "")
    match record.what:
        case "read":
            text, detail = "Read again.", ""
        case "in_doubt":
            text = "A request left, and its answer was lost or leaves it open."
        case "attempt_failed":
            text = f"An attempt failed with HTTP {record.http_status}." if record.http_status else "An attempt failed."
        case "changed_after_sent":
            text = "The source changed it after it was sent; Webflow keeps what it got."
        case "corrected":
            text, detail = _with_detail("The source corrected it", detail), ""
        case "withdrawn":
            text = "The source no longer returned it."
        case "returned":
            text = "The source returned it again."
        case "user_changed":
            text, detail = _with_detail("Its known user changed", detail), ""
        case "user_gone":
            text = "Its user is no longer known."
        case "send_again":
            text, detail = f"{record.person} asked for it to be sent again.", f"It was {detail}." if detail else ""
        case "take_back":
            text, detail = f"{record.person} took it back.", f"It was {detail}." if detail else ""
        case "write_off":
            text, detail = f"{record.person} wrote it off.", f"It was {detail}." if detail else ""
        case "judged":
            text, detail = _judged(detail)
        case "forgotten":
            text = "The person behind it was removed from the ledger."
        case other:
            text = other
    return TimelineEntry(at=record.at, text=text, detail=detail, run_id=record.run_id)


def _with_detail(text: str, detail: str) -> str:
    return f"{text}: {detail.rstrip('.')}{'' if detail.endswith('…') else '.'}" if detail else f"{text}."


def _judged(detail: str) -> tuple[str, str]:
    """The sentence and the detail of a verdict, from ``will_not_count no_view, was unknown not_loaded_yet``."""
    now, _, before = detail.partition(", was ")
    verdict, _, reason = now.partition(" ")
    if verdict not in VERDICT_WORDS:
        return f"Judged: {detail}." if detail else "Judged.", ""
    meaning, _ = explain_attribution(verdict, reason)
    was, _, _ = before.partition(" ")
    return f"Judged: it {VERDICT_WORDS[verdict]}. {meaning}", f"Before, it {VERDICT_WORDS[was]}." if was in VERDICT_WORDS else ""


def _with_moments(detail: str) -> str:
    """A detail with its timestamps as moments."""
    return _TIMES.sub(lambda found: f"time {_as_moment(found[1])}, was {_as_moment(found[2])}", detail)


def _as_moment(text: str) -> str:
    moment = moment_of(int(text)) if re.fullmatch(r"-?\d+", text) else None
    return moment_in_full(moment) if moment else text


def _outcome(conversion: Conversion) -> str:
    answer = f" (HTTP {conversion.http_status})" if conversion.http_status else ""
    if conversion.state == State.ACCEPTED:
        return f"Accepted{answer}."
    why = f"{reason_words(conversion.reason)}." if conversion.reason else ""
    return f"{conversion.state.capitalize()}. {why}".rstrip()
