"""The search box: from what a person knows of a conversion to the conversion, or to the filter that lists all candidates."""

from dataclasses import dataclass

from webflow_conversions.ledger.search import Conversion, Conversions, Filter
from webflow_conversions.ui.ledger import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The only match, or the filter that lists several matches; both None if nothing matches."""

    one: Conversion | None = None
    selection: Filter | None = None


def search(text: str) -> SearchResult:
    """Look for a conversion ID, an action ID or a user ID, then for the beginning of a conversion ID."""
    with reading() as session:
        conversions = Conversions(session)
        written = _written(text)
        for by_id in (Filter(conversion=form) for form in written):
            page = conversions.page(by_id, 2)
            if len(page.conversions) == 1:
                return SearchResult(one=page.conversions[0])
            if page.conversions:
                return SearchResult(selection=by_id)
        user_of = conversions.of_user(written)
        if user_of is not None:
            return SearchResult(selection=Filter(user_of=user_of))
        begins = Filter(begins=text)
        return SearchResult(selection=begins if conversions.ids(begins, 1) else None)


def _written(text: str) -> list[str]:
    """The text and, for personal data, also the hash that is kept in its place."""
    if "@" not in text and not text.startswith(("+", "0")):
        return [text]
    from webflow_conversions.rules.personal_data import hashed

    return [text, hashed(text)]
