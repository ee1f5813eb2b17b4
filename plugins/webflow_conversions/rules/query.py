"""A query as its file has it, and its name in a sentence."""

from typing import Self


class Query(str):
    """The text of a query, with what names it in a sentence.

    ``of`` is what it is the query of (``source shop``), ``file`` its path beside the configuration (``sql/shop.sql``). Either
    may be empty: a plain text is a query without a name.
    """

    __slots__ = ("file", "of")
    file: str
    of: str

    def __new__(cls, text: str, *, of: str = "", file: str = "") -> Self:
        query = super().__new__(cls, text)
        query.of = of or getattr(text, "of", "")
        query.file = file or getattr(text, "file", "")
        return query

    def at(self, *lines: int) -> str:
        """Its name, with lines of its file: ``query of source shop (sql/shop.sql, line 3)``."""
        numbers = " and ".join(filter(None, (", ".join(map(str, lines[:-1])), *map(str, lines[-1:]))))
        place = ", ".join(filter(None, (self.file, numbers and f"{'line' if len(lines) == 1 else 'lines'} {numbers}")))
        return f"query{f' of {self.of}' if self.of else ''}{f' ({place})' if self.file else ''}"
