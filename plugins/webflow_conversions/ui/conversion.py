"""A conversion as people see it: a row of a list, and one in full with its timeline, its payload and the useful actions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.ledger.actions import USEFUL, Action, Actions
from webflow_conversions.ledger.push import as_event
from webflow_conversions.ledger.retention import is_hashed
from webflow_conversions.ledger.search import Conversion, Conversions
from webflow_conversions.rules.credit import READINGS, explain_attribution
from webflow_conversions.rules.event import shortened
from webflow_conversions.rules.states import State
from webflow_conversions.rules.window import MAX_AGE
from webflow_conversions.ui.dag import customer_id
from webflow_conversions.ui.ledger import reading
from webflow_conversions.ui.sentences import Prospect, is_too_old, said_of
from webflow_conversions.ui.timeline import TimelineEntry, moment_of, timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionView:
    """A conversion for people. ``user_id`` and ``identity_key`` are shortened for viewers who may not act.

    ``identity_key`` is whom it waits for while its user is not known; None where the source gave none, and where only a hash is
    left of it.

    ``expires_at`` is the last moment at which it may go out; it and ``occurred_at`` are None without a timestamp.
    ``is_expired``: it is too old to go out, and its state does not say so. ``prospect``, ``label``, ``badge``, ``sentence``,
    ``meaning`` and ``remedy`` are what is said of it (``ui/sentences.py``).
    ``forgotten_at`` is when the person behind it was removed. ``attribution`` is the verdict on it, None where nothing was
    judged; ``attribution_meaning`` and ``attribution_remedy`` explain it. ``credited_under`` are the readings of Webflow's rule
    that credit it, by the visit whose ID and times these are. ``minutes_from_activity`` are between the visitor's last
    activity before it and the conversion.
    """

    id: int
    destination: str
    source: str
    event_name: str | None
    conversion_id: str | None
    action_id: str
    occurred_at: datetime | None
    expires_at: datetime | None
    value: Decimal | None
    identity_key: str | None
    user_domain: str | None
    user_id: str | None
    state: State
    is_in_doubt: bool
    is_expired: bool
    reason: str | None
    prospect: Prospect
    label: str
    badge: str
    sentence: str
    meaning: str
    remedy: str
    detail: str | None
    attempts: int
    attempts_in_doubt: int
    http_status: int | None
    trouble: str | None
    first_seen_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    changed_after_sent_at: datetime | None
    forgotten_at: datetime | None
    run_id: str
    attribution: str | None
    attribution_reason: str | None
    attribution_meaning: str
    attribution_remedy: str
    attribution_judged_at: datetime | None
    credited_under: Sequence[str]
    visit_id: str | None
    visit_started_at: datetime | None
    visit_last_active_at: datetime | None
    visit_first_viewed_at: datetime | None
    minutes_from_activity: int | None

    @property
    def activity_span(self) -> timedelta:
        """The time between the visitor's last activity and the conversion, in whole minutes."""
        return timedelta(minutes=self.minutes_from_activity or 0)

    @property
    def is_pending(self) -> bool:
        """Whether it may still go out by itself."""
        return self.prospect in (Prospect.GOES_OUT, Prospect.WAITS, Prospect.UNDECIDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionDetail:
    """A conversion in full; ``payload`` is the event as it went out, or would; None if the row cannot be an event.

    ``actions`` are those that would do something now.
    """

    conversion: ConversionView
    timeline: Sequence[TimelineEntry]
    payload: dict[str, Any] | None
    actions: Sequence[Action]
    currency: str | None


def conversion_detail(number: int, *, with_user_ids: bool) -> ConversionDetail | None:
    """The conversion with the ledger's number; None if the ledger has none."""
    now = Clock().now()
    with reading() as session:
        found = Conversions(session).one(number)
        if found is None:
            return None
        history = Conversions(session).history(found)
        currency = Conversions(session).currency()
        is_rehearsing = Conversions(session).is_rehearsing()
        useful = [action for action in Action if USEFUL & Actions(session).preview(action, [number], now).keys()]
    view = conversion_view(found, now, with_user_ids=with_user_ids, is_rehearsing=is_rehearsing)
    return ConversionDetail(
        conversion=view,
        timeline=timeline(found, history, now),
        payload=payload(found, customer_id(found.destination), with_user_ids=with_user_ids),
        actions=useful,
        currency=currency,
    )


def conversion_view(conversion: Conversion, now: datetime, *, with_user_ids: bool, is_rehearsing: bool = False) -> ConversionView:
    """A conversion for a viewer; its user ID in clear for viewers who may act. ``is_rehearsing``: runs send nothing now."""
    expires_at = moment_of(conversion.action_timestamp_ms, after=MAX_AGE)
    said = said_of(conversion, now, is_rehearsing=is_rehearsing)
    judged, visit = conversion.attribution, conversion.visit or {}
    credited, advice = explain_attribution(judged, conversion.attribution_reason) if judged else ("", "")
    return ConversionView(
        id=conversion.id,
        destination=conversion.destination,
        source=conversion.source,
        event_name=conversion.event_name,
        conversion_id=conversion.conversion_id,
        action_id=conversion.action_id,
        occurred_at=moment_of(conversion.action_timestamp_ms),
        expires_at=expires_at,
        value=conversion.value,
        user_domain=conversion.user_domain,
        identity_key=None
        if is_hashed(conversion.identity_key or "")
        else seen(conversion.identity_key, with_user_ids=with_user_ids),
        user_id=seen(conversion.user_id, with_user_ids=with_user_ids),
        state=conversion.state,
        is_in_doubt=conversion.is_in_doubt,
        is_expired=is_too_old(conversion, now) and conversion.state not in (State.ACCEPTED, State.EXPIRED),
        reason=conversion.reason,
        prospect=said.prospect,
        label=said.label,
        badge=said.badge,
        sentence=said.sentence,
        meaning=said.meaning,
        remedy=said.remedy,
        detail=conversion.detail,
        attempts=conversion.attempts,
        attempts_in_doubt=conversion.attempts_in_doubt,
        http_status=conversion.http_status,
        trouble=conversion.trouble,
        first_seen_at=conversion.first_seen_at,
        sent_at=conversion.sent_at,
        settled_at=conversion.settled_at,
        changed_after_sent_at=conversion.changed_after_sent_at,
        forgotten_at=conversion.forgotten_at,
        run_id=conversion.run_id,
        attribution=conversion.attribution,
        attribution_reason=conversion.attribution_reason,
        attribution_meaning=credited,
        attribution_remedy=advice,
        attribution_judged_at=conversion.attribution_judged_at,
        credited_under=[reading for reading in READINGS if reading in visit.get("readings", ())],
        visit_id=conversion.visit_id,
        visit_started_at=moment_of(visit.get("started_at")),
        visit_last_active_at=moment_of(visit.get("last_active_at")),
        visit_first_viewed_at=moment_of(visit.get("first_viewed_at")),
        minutes_from_activity=conversion.minutes_from_activity,
    )


def seen(text: str | None, *, with_user_ids: bool) -> str | None:
    """A user ID or an identity key as a viewer sees it."""
    return text if with_user_ids or text is None else shortened(text)


def payload(conversion: Conversion, customer_id: str, *, with_user_ids: bool) -> dict[str, Any] | None:
    """The event as it went out, or would: from the row, by the same rules; None if the row cannot be an event, or only a hash is
    left of its user ID.
    """
    if not (conversion.event_name and conversion.user_domain and conversion.user_id and conversion.conversion_id):
        return None
    if conversion.action_timestamp_ms is None or is_hashed(conversion.user_id):
        return None
    event = as_event(conversion)
    if not with_user_ids:
        event = event._replace(user_id=shortened(event.user_id))
    document: dict[str, Any] = json.loads(event.body(customer_id))
    return document
