"""A trace: the source rows of one conversion, picked out of all that a source returns."""

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import unquote

from webflow_conversions.pipeline.warehouse import Chunk, SourceRows
from webflow_conversions.rules.ids import as_text

MOST_ROWS = 100
"""Source rows of one trace."""


class PickedRows:
    """The rows of a source whose conversion ID or identity key is one of the given texts.

    ``rows`` has them as the database gave them, in the order of the source, at most ``MOST_ROWS``.
    """

    def __init__(self, source: SourceRows, ids: Collection[str], tell: Callable[[int], object] = lambda _: None) -> None:
        self._source = source
        self._ids = frozenset(ids)
        self._tell = tell
        self._read = 0
        self.rows: list[dict[str, Any]] = []

    def check(self) -> None:
        """Refuse a query that cannot work, without reading a row."""
        self._source.check()

    def read(self, handle: Callable[[Chunk], None]) -> None:
        """Call back with the picked rows of one chunk after the other."""

        def pick(chunk: Chunk) -> None:
            self._read += len(chunk["conversion_id"])
            self._tell(self._read)
            places = self._places(chunk)[: MOST_ROWS - len(self.rows)]
            if places:
                picked = {name: values.iloc[places].reset_index(drop=True) for name, values in chunk.items()}
                self.rows += [{name: values.iloc[row] for name, values in picked.items()} for row in range(len(places))]
                handle(picked)

        self._source.read(pick)

    def _places(self, chunk: Chunk) -> list[int]:
        pairs = zip(chunk["conversion_id"], chunk["identity_key"], strict=True)
        return [place for place, pair in enumerate(pairs) if any(as_text(value) in self._ids for value in pair)]


def conversion_id_in(action_id: str) -> str | None:
    """The conversion ID in an action ID that was not cut (``rules/event.py``); None for any other text."""
    parts = action_id.split("/")
    return unquote(parts[3]) if len(parts) == 4 and "?" not in action_id else None
