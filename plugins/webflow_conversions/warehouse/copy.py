"""The lines that PostgreSQL's COPY writes (PostgreSQL manual, COPY, Text Format)."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from webflow_conversions.warehouse.types import NUMERIC, POSTGRESQL, ColumnType, shortest

_ESCAPE = re.compile(r"\\([^N])")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Lines:
    """Collects the lines, and hands them over in chunks.

    ``failure`` is the exception of the function that took the lines; it is no failure of the warehouse. ``rows`` is the number
    of lines that came, ``last`` the last one of them.

    :param codec: Python's name of the lines' encoding; a byte that is no text becomes half of a surrogate pair.
    """

    def __init__(
        self, hand_over: Callable[[Iterable[list[Any]]], None], chunk_rows: int, types: Sequence[ColumnType], codec: str
    ) -> None:
        self._hand_over = hand_over
        self._chunk_rows = chunk_rows
        self._types = types
        self.codec = codec
        self._lines: list[bytes] = []
        self.failure: Exception | None = None
        self.rows = 0
        self.last = b""

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == self._chunk_rows:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            self.rows += len(self._lines)
            self.last = self._lines[-1]
            lines, self._lines = self._lines, []
            try:
                self._hand_over(self._columns(lines))
            except Exception as error:
                self.failure = error
                raise

    def seen(self, column: int) -> tuple[int, Any]:
        """How many rows came, and the value of a column in the last of them."""
        lines = self._lines or [self.last]
        rows = self.rows + len(self._lines)
        return rows, next(self._columns(lines[-1:], column))[0] if rows else None

    def _columns(self, lines: Sequence[bytes], only: int | None = None) -> Iterator[list[Any]]:
        text = b"".join(lines).decode(self.codec, "surrogateescape")
        # A tab or a line end within a value is escaped, so what is left of them ends a field: one split for all the rows,
        # and a column is every n-th of them. A list for each row would cost several times as much.
        fields = text.replace("\n", "\t").split("\t")
        fields.pop()
        has_escapes = "\\" in text and _ESCAPE.search(text) is not None
        return (
            _column(fields[place :: len(self._types)], type_, has_escapes)
            for place, type_ in enumerate(self._types)
            if only is None or place == only
        )


def _column(fields: list[str], type_: ColumnType, has_escapes: bool) -> list[Any]:
    if type_ is POSTGRESQL[NUMERIC]:
        return [None if field == r"\N" else shortest(field) for field in fields]
    values = [_value(field) for field in fields] if has_escapes else [None if field == r"\N" else field for field in fields]
    convert = type_.convert
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _value(field: str) -> str | None:
    """A field in which something may be escaped."""
    return None if field == r"\N" else _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), field)
