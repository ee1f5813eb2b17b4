"""The search box: from what a person knows of a conversion to the conversion, or to the filter that lists all candidates."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from webflow_conversions.errors import ConversionsError
from webflow_conversions.ledger.search import Conversion, Conversions
from webflow_conversions.ledger.selection import Filter
from webflow_conversions.rules.personal_data import hashed
from webflow_conversions.rules.text import variants
from webflow_conversions.rules.written import unquoted, written_forms
from webflow_conversions.ui.ledger import reading

BEGINNINGS = 8
"""Forms of a text with which a conversion ID may begin."""

MOST_TRIES = 30
SECONDS_FOR_A_TRY = 30.0
"""Between two tries of somebody who tries for long: 10,000 user IDs take 3½ days and as many answers."""
MOST_PEOPLE = 10_000
"""People whose tries are remembered; those who searched longest ago are forgotten first."""

_OWN_LINK = re.compile(r"https?://\S+/conversions/([1-9]\d{0,17})(?:[?#]\S*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The only match, or the filter that lists several matches; both None if nothing matches."""

    one: Conversion | None = None
    selection: Filter | None = None


class TooManySearches(ConversionsError):
    """A person searches more often than somebody with an order number in hand would."""

    def __init__(self) -> None:
        super().__init__("Too many searches that could find a person: in a minute there may be another.")


class Tries:
    """The tries of each person in this process: ``MOST_TRIES`` at once, and one more every ``SECONDS_FOR_A_TRY``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, person: str) -> None:
        """Take one.

        :raises TooManySearches: if none is left.
        """
        with self._lock:
            now = monotonic()
            full_at = max(self._full_at.get(person, now), now) + SECONDS_FOR_A_TRY
            if full_at > now + MOST_TRIES * SECONDS_FOR_A_TRY:
                raise TooManySearches
            self._full_at[person] = full_at
            self._full_at.move_to_end(person)
            if len(self._full_at) > MOST_PEOPLE:
                self._full_at.popitem(last=False)


tries = Tries()


def search(text: str, person: str, *, with_user_ids: bool) -> SearchResult:
    """Look for an ID to the letter: of a conversion, an action, a user, or an identity key; then for a conversion ID as people
    write it, then for the beginning of one.

    :param person: who searches.
    :param with_user_ids: whether they may see user IDs and identity keys. Others find them by the whole value alone.
    :raises TooManySearches: if others search for people too often.
    """
    with reading() as session:
        conversions = Conversions(session)
        for selection in _selections(text, conversions, person, with_user_ids=with_user_ids):
            found = conversions.page(selection, 2).conversions
            if len(found) == 1 and selection.user_of is None and selection.key_of is None and selection.begins is None:
                return SearchResult(one=found[0])
            if found:
                return SearchResult(selection=selection)
    return SearchResult()


def _selections(text: str, conversions: Conversions, person: str, *, with_user_ids: bool) -> Iterator[Filter]:
    """The filters to try, one after the other."""
    own = _OWN_LINK.fullmatch(unquoted(text))
    if own:
        yield Filter(id=int(own[1]))
    yield from (Filter(conversion=form) for form in _with_hash(text))
    yield from _of_people(text, conversions, person, with_user_ids=with_user_ids)
    yield Filter(written=text)
    yield from (Filter(begins=form) for form in written_forms(text)[:BEGINNINGS])


def _of_people(text: str, conversions: Conversions, person: str, *, with_user_ids: bool) -> Iterator[Filter]:
    """The filters of a user ID, and of an identity key.

    The only place that finds people. Whoever may not see them compares whole values here, and may try a few: else a user ID
    whose ends they see could be guessed.
    """
    if not with_user_ids:
        tries.take(person)
    whole = list(dict.fromkeys(form for given in (text, unquoted(text)) if given for form in _with_hash(given)))
    user_of = conversions.of_user(whole)
    if user_of is not None:
        yield Filter(user_of=user_of)
    key_of = conversions.of_key([*whole, *(variants(unquoted(text)) if with_user_ids else ())])
    if key_of is not None:
        yield Filter(key_of=key_of)


def _with_hash(text: str) -> list[str]:
    """The text and, for personal data, also the hash that is kept in its place."""
    return [text, hashed(text)] if "@" in text or text.startswith(("+", "0")) else [text]
