"""What must become of each conversion, run after run: the rules of the design once more, with nothing of the package in them.

An oracle is told what the warehouse holds when a run reads it, and says what state each conversion is in then, what is sent, and
what the run is stopped for. Moments are UTC milliseconds; rows of the source are dicts of texts, as the source's query gives them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from math import inf
from typing import Any
from urllib.parse import quote

Row = dict[str, str | None]
Person = dict[str, Any]
Version = dict[str, Any]
Conversion = dict[str, Any]

HOUR = 3_600_000
TWO_DAYS, THIRTY_DAYS = 48 * HOUR, 30 * 24 * HOUR
MANY, SHARE = 10, 0.5
"""A run is stopped if at least so many conversions went missing, or lost their user, and they are more than this share."""
WAITING = ("ready", "held", "future")
PLACEHOLDERS = ("undefined", "null")
FACTS = ("moment", "value", "key", "detail")


@dataclass(kw_only=True)
class Read:
    """A run's reading of a source: the number of rows by what became of them, and the conversions that it returned.

    ``had_user``: conversions that were ready and are looked up again as they are; ``lost_user``: those without a user now.
    """

    counts: Counter[str]
    seen: set[Any]
    had_user: int = 0
    lost_user: int = 0


@dataclass(kw_only=True)
class Looked:
    """What the last look before sending found of a source, in conversions.

    ``unseen``: what was not returned and may go out all the same; ``missing``: what ought to be withdrawn, but too much is.
    """

    unseen: int = 0
    withdrawn: int = 0
    missing: int = 0
    had_user: int = 0
    lost_user: int = 0

    def stops(self) -> bool:
        """Whether the guards let nothing be sent."""
        return self.missing > 0 or (self.lost_user >= MANY and self.lost_user > SHARE * self.had_user)


class Oracle:
    """The conversions of some sources of one destination, by source and ID; a row without an ID by its content."""

    def __init__(self, destination: str, customer_id: str, event_name: str) -> None:
        self.destination = destination
        self.customer_id = customer_id
        self.event_name = event_name
        self.conversions: dict[Any, Conversion] = {}

    # Extraction

    def extract(self, source: str, rows: Sequence[Row], people: Sequence[Person], now: int, window: tuple[int, int]) -> Read:
        """Follow what a source returns now."""
        users = by_key(people)
        versions: dict[Any, list[Version]] = {}
        for row in rows:
            version = self._judged(source, row, users, now, window)
            versions.setdefault(version["name"], []).append(version)
        read = Read(counts=Counter(read=len(rows)), seen=set())
        for name, found in versions.items():
            self._take(name, sorted(found, key=nearness), read, now)
        return read

    def _judged(self, source: str, row: Row, users: Mapping[str, Sequence[Person]], now: int, window: tuple[int, int]) -> Version:
        conversion_id, key = filled(row["conversion_id"]), filled(row["identity_key"])
        moment, time_reason = moment_of(row["occurred_at"])
        value, value_reason = value_of(row["value"])
        reason = time_reason or value_reason or (None if key else "missing_identity")
        detail = None
        if time_reason == "invalid_timestamp":
            detail = f"occurred_at = {row['occurred_at']}"
        elif time_reason is None and value_reason:
            detail = f"value = {row['value']}"
        if conversion_id is None:
            reason, detail = "missing_conversion_id", None
        name = (source, conversion_id) if conversion_id else (source, None, row["occurred_at"], key, filled(row["value"]))
        version = {"name": name, "moment": moment, "value": value, "key": key, "detail": detail, "beside": None}
        version |= {"domain": None, "user": None}
        if moment is not None and moment < now - THIRTY_DAYS:
            version["beside"] = "too_old"
        if reason:
            return version | {"state": "rejected", "reason": reason, "rank": 5}
        assert moment is not None
        assert key is not None
        if moment < now - TWO_DAYS:
            return version | {"state": "expired", "reason": "expired_before_seen", "rank": 4}
        if moment > now:
            return version | {"state": "future", "reason": None, "rank": 2}
        if not window[0] <= moment < window[1]:
            version["beside"] = "outside"
        version |= whose(users.get(key, ()), moment)
        return version | {"rank": {"ready": 0, "held": 1, "rejected": 3}[version["state"]]}

    def _take(self, name: Any, versions: Sequence[Version], read: Read, now: int) -> None:
        """Count the versions of one conversion, and let it follow the first of them."""
        best, conversion = versions[0], self.conversions.get(name)
        differs = conversion is not None and facts(conversion) != facts(best)
        is_recorded = best["beside"] is None
        for version in versions[1:] if is_recorded else versions:
            is_alike = facts(version) == facts(best)
            read.counts[version["beside"] or ("duplicates" if is_alike else "conflicting")] += 1
        if not is_recorded and not differs:
            return
        read.counts["recorded"] += is_recorded
        read.seen.add(name)
        if conversion is None:
            self.conversions[name] = best | {"attempts": 0, "doubts": 0, "is_changed": False, "told": []}
            return
        if is_final(conversion):
            conversion["is_changed"] |= differs
            return
        if conversion["state"] == "ready" and not differs:
            read.had_user += 1
            read.lost_user += best["state"] == "held"
        follow(conversion, best, now)

    # Identification

    def identify(
        self,
        reads: Mapping[str, Read],
        people: Sequence[Person],
        now: int,
        window: tuple[int, int],
        returns_all: Collection[str],
        *,
        force: bool,
    ) -> dict[str, Looked]:
        """The last look at what waits, before it is sent; ``reads`` are those of the run, by source."""
        users = by_key(people)
        for conversion in self.conversions.values():
            if conversion["state"] in WAITING and conversion["moment"] < now - TWO_DAYS:
                expire(conversion)
        arrived: set[Any] = set()
        unseen: dict[str, list[Conversion]] = {source: [] for source in reads}
        for name, conversion in self.conversions.items():
            source = name[0]
            if source not in reads or conversion["state"] not in WAITING or not in_window(conversion, window):
                continue
            if conversion["state"] == "future" and conversion["moment"] <= now:
                conversion |= {"state": "held", "reason": "unknown_user"}
                arrived.add(name)
            if name not in reads[source].seen:
                unseen[source].append(conversion)
        found = {source: self._missed(source, reads[source], unseen[source], returns_all, force) for source in reads}
        for name, conversion in self.conversions.items():
            if name[0] not in reads or conversion["state"] not in ("ready", "held") or not in_window(conversion, window):
                continue
            if name in reads[name[0]].seen and not conversion["doubts"] and name not in arrived:
                continue
            was_ready, looked, had = conversion["state"] == "ready", found[name[0]], user_of(conversion)
            conversion.update(whose(users.get(conversion["key"], ()), conversion["moment"]))
            tell_of_user(conversion, had)
            looked.had_user += was_ready
            looked.lost_user += was_ready and conversion["state"] == "held"
        for source, read in reads.items():
            found[source].had_user += read.had_user
            found[source].lost_user += read.lost_user
        return found

    @staticmethod
    def _missed(source: str, read: Read, unseen: Sequence[Conversion], returns_all: Collection[str], force: bool) -> Looked:
        if source not in returns_all:
            return Looked(unseen=sum(conversion["state"] != "future" for conversion in unseen))
        is_much = len(unseen) >= MANY and len(unseen) > SHARE * (len(unseen) + read.counts["recorded"])
        if (is_much or not read.counts["read"]) and not force:
            return Looked(missing=len(unseen))
        for conversion in unseen:
            conversion |= {"state": "withdrawn", "reason": "no_longer_in_source"}
            conversion["told"].append("withdrawn")
        return Looked(withdrawn=len(unseen))

    # Push

    def push(
        self, sources: Collection[str], now: int, window: tuple[int, int], fate: Callable[[str], str]
    ) -> list[dict[str, str]]:
        """The events that are sent, each as often as it is, and what comes of them.

        :param fate: of an event, by its action ID: ``accepted``, ``lost`` (no answer), ``later`` (503, then accepted), or
            ``away`` (it does not leave).
        """
        sent: list[dict[str, str]] = []
        for name, conversion in self.conversions.items():
            if name[0] not in sources or conversion["state"] != "ready" or not in_window(conversion, window):
                continue
            if not now - TWO_DAYS <= conversion["moment"] <= now:
                continue
            event = self._event(name, conversion)
            match fate(event["actionId"]):
                case "accepted":
                    sent.append(event)
                    conversion |= {"state": "accepted", "attempts": conversion["attempts"] + 1}
                case "lost":
                    sent.append(event)
                    conversion |= {"attempts": conversion["attempts"] + 1, "doubts": conversion["doubts"] + 1}
                case "later":
                    sent += [event, event]
                    doubts = conversion["doubts"] + 1
                    conversion |= {"state": "accepted", "attempts": conversion["attempts"] + 2, "doubts": doubts}
                case "away":
                    pass
        return sent

    def _event(self, name: Any, conversion: Conversion) -> dict[str, str]:
        event = {
            "customerId": self.customer_id,
            "eventName": self.event_name,
            "userDomain": conversion["domain"],
            "userId": conversion["user"],
            "actionId": self.action_id(name),
            "actionTimestamp": str(conversion["moment"]),
        }
        value = conversion["value"]
        return event if value is None else event | {"value": f"{value.normalize():f}"}

    def action_id(self, name: Any) -> str:
        """The action ID of a conversion that has an ID."""
        return "/".join(quote(part, safe="") for part in (self.destination, name[0], self.event_name, name[1]))


def filled(text: str | None) -> str | None:
    """The text, unless it is blank."""
    return text if text and text.strip() else None


def moment_of(text: str | None) -> tuple[int | None, str | None]:
    """The moment, with its milliseconds floored, or the reason why there is none; a moment has an offset."""
    if not filled(text):
        return None, "missing_timestamp"
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None, "invalid_timestamp"
    if moment.tzinfo is None:
        return None, "invalid_timestamp"
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1), None


def value_of(text: str | None) -> tuple[Decimal | None, str | None]:
    """The value with two places, half up, or the reason why there is none."""
    if not filled(text):
        return None, None
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        return None, "invalid_value"
    if not value.is_finite():
        return None, "invalid_value"
    if value < 0:
        return None, "negative_value"
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP), None


def by_key(people: Sequence[Person]) -> dict[str, list[Person]]:
    users: dict[str, list[Person]] = {}
    for person in people:
        users.setdefault(person["identity_key"], []).append(person)
    return users


def whose(users: Sequence[Person], moment: int) -> dict[str, Any]:
    """The state, the reason and the user of a valid conversion of this moment, whose key has these users."""
    nobody = {"domain": None, "user": None}
    if not users:
        return nobody | {"state": "held", "reason": "unknown_user"}

    def order(user: Person) -> tuple[Any, ...]:
        is_unfit = not user["user_id"].strip() or user["user_id"] in PLACEHOLDERS
        is_later = user["identified_at"] > moment
        return is_unfit, is_later, -user["identified_at"], user["user_id"], user["user_domain"]

    user = min(users, key=order)
    if user["user_id"] in PLACEHOLDERS:
        return nobody | {"state": "rejected", "reason": "placeholder_user_id"}
    if not user["user_id"].strip():
        return nobody | {"state": "rejected", "reason": "invalid_user"}
    if "@" in user["user_id"]:
        return nobody | {"state": "rejected", "reason": "personal_data_in_user_id"}
    return {"state": "ready", "reason": None, "domain": user["user_domain"], "user": user["user_id"]}


def nearness(version: Version) -> tuple[Any, ...]:
    """Of versions that differ the smallest stands: one that can be sent, then a user, then the earliest moment."""
    moment, value, key, detail = facts(version)
    return (
        version["beside"] is not None,
        version["rank"],
        inf if moment is None else moment,
        inf if value is None else value,
        key is None,
        key or "",
        detail or "",
    )


def facts(version: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the source says of a conversion."""
    return tuple(version[name] for name in FACTS)


def in_window(conversion: Conversion, window: tuple[int, int]) -> bool:
    return conversion["moment"] is not None and window[0] <= conversion["moment"] < window[1]


def is_final(conversion: Conversion) -> bool:
    """Whether a request has left, or may have, so that the source has no say any more; what was withdrawn since may come back.

    Nor has it of a conversion whose person was erased (``is_forgotten``).
    """
    return (
        conversion.get("is_forgotten", False)
        or conversion["state"] == "accepted"
        or (conversion["doubts"] > 0 and conversion["state"] != "withdrawn")
    )


def expire(conversion: Conversion) -> None:
    reason = "expired_unidentified" if conversion["state"] == "held" else "expired_unsent"
    conversion |= {"state": "expired", "reason": "expired_in_doubt" if conversion["doubts"] else reason}


def follow(conversion: Conversion, version: Version, now: int) -> None:
    """A conversion of which no request has left is what its source says now; what is expired comes back with its moment alone."""
    was, before, differs = conversion["state"], conversion["moment"], facts(conversion) != facts(version)
    had = user_of(conversion)
    said = {name: version[name] for name in (*FACTS, "state", "reason", "domain", "user")}
    is_old = version["moment"] is None or version["moment"] < now - TWO_DAYS
    if was == "expired" and version["state"] in ("expired", "rejected") and is_old:
        conversion |= {name: version[name] for name in FACTS} | {"is_changed": conversion["is_changed"] and not differs}
        if differs:
            conversion["told"].append("corrected")
        return
    if not differs and was != "withdrawn" and version["state"] == "expired":
        return
    if version["state"] == "expired" and was in (*WAITING, "withdrawn") and (before is None or before < now - TWO_DAYS):
        expire(conversion)
        said |= {"state": "expired", "reason": conversion["reason"]}
    conversion |= said | {"is_changed": False}
    if was == "withdrawn":
        conversion["told"].append("returned")
    elif differs:
        conversion["told"].append("corrected")
    else:
        tell_of_user(conversion, had)


def user_of(conversion: Conversion) -> tuple[str | None, str | None]:
    return conversion["domain"], conversion["user"]


def tell_of_user(conversion: Conversion, had: tuple[str | None, str | None]) -> None:
    if had[1] is not None and had != user_of(conversion):
        conversion["told"].append("user_gone" if conversion["user"] is None else "user_changed")
