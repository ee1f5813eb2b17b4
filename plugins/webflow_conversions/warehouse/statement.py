"""The SELECT of an SQL file: what it must be, and how the product's values are bound to the names in it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from webflow_conversions.errors import Unusable
from webflow_conversions.rules.query import Query
from webflow_conversions.warehouse.lexing import HIDDEN, mask, without_comments

_COLON = "\0"
"""Stands for a colon that begins no bind, until SQLAlchemy has read the text. No SQL holds it."""

_OTHER_STATEMENTS = re.compile(
    r"(?:ALTER|ANALYZE|BEGIN|CALL|COMMENT|COMMIT|COPY|CREATE|DECLARE|DELETE|DO|DROP|EXEC|EXECUTE|EXPLAIN|GRANT|INSERT|LOAD|LOCK|MERGE"
    r"|PRAGMA|REFRESH|REPLACE|REVOKE|ROLLBACK|SET|START|TRUNCATE|UNLOAD|UPDATE|UPSERT|USE|VACUUM)\b",
    re.IGNORECASE,
)
_QUERIES = re.compile(r"[\s(]*(?:SELECT|WITH|VALUES|TABLE|FROM|PIVOT|UNPIVOT|SHOW|DESCRIBE|SUMMARIZE)\b", re.IGNORECASE)
"""What a query begins with, in any dialect. All else is some other file, whose words nobody is to be told."""
_CHANGES_DATA = re.compile(
    r"[()]\s*((?:INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+(?:ONLY\s+)?[^\s()]+(?:\s+(?:AS\s+)?\w+)?\s+SET)\b)",
    re.IGNORECASE,
)
_LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b|\bFOR\s+(?:KEY\s+)?SHARE\b|\bLOCK\s+IN\s+SHARE\s+MODE\b", re.IGNORECASE)
_TEMPLATE = re.compile(
    r"\{\{-?\s*[A-Za-z_][\w.]*(?:\s*(?:[(|\[]|-?\}\})|\s+(?:[-+*/%~]|if|and|or|not|in|is)\s)|\{%-?\s*[a-z]+\s|\{#"
)
_TEMPLATE_AS_CODE = re.compile(r"\{\{|\{%")
"""What begins a template outside of a text; no SQL has it there."""
_TYPOGRAPHIC = re.compile("[\u2018-\u201f\u00ab\u00bb]")
_INVISIBLE = re.compile("[\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff]")
"""Blanks and nothings that come with text out of web pages and word processors."""

_BIND = re.compile(rf"(?<![\w:{HIDDEN}'\"`\])\\]):(?P<name>[^\W\d]\w*)")
"""A bind in masked SQL. Behind a name, a quote or a bracket a colon is a path (``payload:id``), a slice or a struct's."""

_OPENED = re.compile(
    r"(?:\bIN\b|(?<![<>!=])=\s*(?:ANY|SOME)\b(?=\s*\())"
    r"(?P<openers>(?:\s*(?:(?:(?:SELECT\s+(?:\*\s+FROM\s+)?)?UNNEST|CAST)\s*)?\()*)\s*\Z",
    re.IGNORECASE,
)
"""What may stand before a list: ``IN``, ``IN (``, ``= ANY(``, ``IN UNNEST(``, ``= ANY(CAST(``."""
_CAST = r"\s*::\s*[A-Za-z]\w*(?:\s*\(\s*\d+\s*\))?(?:\s*\[\s*\])?"
_CLOSER = r"\s*(?:AS\s+[A-Za-z][\w ]*(?:\s*\[\s*\])?\s*)?\)"


class Text(sa.TextClause):
    """SQLAlchemy's text of a statement, whose colons were told from binds before."""

    inherit_cache = False


@compiles(Text)
def _compile(text: Text, compiler: Any, **options: Any) -> str:
    compiled: str = compiler.visit_textclause(text, **options)
    return compiled.replace(_COLON, ":")


class Statement:
    """One SELECT, for a database.

    :raises Unusable: if it is none, or several, or something that is no SQL was left in it.
    """

    def __init__(self, sql: str, dialect: str) -> None:
        self.query = Query(sql)
        self._text = str(sql)
        self._code = mask(self._text, dialect)
        for found in _INVISIBLE.finditer(self._code):
            self._text = f"{self._text[: found.start()]} {self._text[found.end() :]}"
        self._code = _INVISIBLE.sub(" ", self._code)
        self._check_templates(without_comments(self._text, dialect))
        self._keep_one()
        self._check_words()

    def line(self, at: int) -> int:
        """The line of the file in which a character stands, from 1 on."""
        return self._text.count("\n", 0, at) + 1

    @property
    def last_line(self) -> int:
        """The last line of the file in which the statement has code."""
        return self.line(len(self._code.rstrip()))

    def lines_of(self, word: str) -> list[int]:
        """The lines in which a word is, as code or as a quoted name."""
        places = re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", self._text, re.IGNORECASE)
        return sorted({self.line(place.start()) for place in places if not self._code[place.start()].isspace()})

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the SQL, in small letters."""
        return frozenset(re.findall(r"\w+", self._text.lower()))

    @cached_property
    def marks(self) -> frozenset[str]:
        """The signs of the SQL that are no words."""
        return frozenset(re.findall(r"[^\w\s]", self._text))

    @cached_property
    def binds(self) -> frozenset[str]:
        """The names that are bound."""
        return frozenset(found["name"] for found in _BIND.finditer(self._code))

    def bound(self, parameters: Mapping[str, Any], before: str, after: str) -> Text:
        """The statement as a subquery, with those of the parameters bound that it names; a list becomes an expanding bind.

        The file's first line is the second one of what is sent.

        :raises Unusable: if it names another, or has a list where no list can be.
        """
        self._check_marks(parameters)
        edits = list(self._edits(parameters))
        text = _edited(self._text, edits)
        values = {name: parameters[name] for name in parameters if name in self.binds}
        return Text(f"{before} (\n{text}\n) {after}").bindparams(
            *(sa.bindparam(name, value, expanding=isinstance(value, list)) for name, value in values.items())
        )

    def _edits(self, parameters: Mapping[str, Any]) -> Iterator[tuple[int, int, str]]:
        done = 0
        kept: set[int] = set()
        for found in _BIND.finditer(self._code):
            name = found["name"]
            if name not in parameters:
                known = " and ".join(f":{parameter}" for parameter in parameters) or "no values"
                raise self._refusal(
                    f"names :{name}, but it is given {known}: use these, and write a colon that begins no name as \\:",
                    found.start(),
                )
            kept.add(found.start())
            if isinstance(parameters[name], list):
                start, end = self._list_at(found)
                yield from self._colons(done, start, kept)
                yield start, end, f"IN :{name} " + "\n" * self._text.count("\n", start, end)
                done = end
        yield from self._colons(done, len(self._text), kept)

    def _colons(self, start: int, end: int, kept: set[int]) -> Iterator[tuple[int, int, str]]:
        """Edits that write every colon so that SQLAlchemy takes none for a bind; the backslash before one goes."""
        for found in re.compile(r"\\?:").finditer(self._text, start, end):
            if found.end() - 1 not in kept:
                yield found.start(), found.end(), _COLON

    def _list_at(self, found: re.Match[str]) -> tuple[int, int]:
        """Start and end of what ``IN :name`` takes the place of."""
        opened = _OPENED.search(self._code, 0, found.start())
        if opened:
            depth = opened["openers"].count("(")
            closed = re.compile(rf"(?:{_CAST})?(?:{_CLOSER}){{{depth}}}").match(self._code, found.end())
            if closed:
                return opened.start(), closed.end()
        name = found["name"]
        raise self._refusal(f"has :{name} where no list can be: write … IN :{name}, for it is a list of texts", found.start())

    def _check_templates(self, text: str) -> None:
        found = _TEMPLATE_AS_CODE.search(self._code) or _TEMPLATE.search(text)
        if found:
            raise self._refusal(
                "holds a template, and templates are not filled in here: write what it stands for, and "
                ":window_start and :window_end where it stands for times of the run",
                found.start(),
            )

    def _keep_one(self) -> None:
        """Drop what ends the statement, and whatever is behind it.

        :raises Unusable: if that is another statement, or there is none.
        """
        parts = list(re.finditer(r"[^;]+", self._code))
        statements = [part for part in parts if part[0].strip()]
        if not statements:
            raise self._refusal("has no statement: write one SELECT")
        if len(statements) > 1:
            start = statements[1].start() + len(statements[1][0]) - len(statements[1][0].lstrip())
            raise self._refusal("has a second statement: leave one SELECT in the file", start)
        only = statements[0]
        # What stands before it is kept, so that a line is the same one in the file and for the database.
        before = self._text[: only.start()].replace(";", " ")
        self._text = before + self._text[only.start() : only.end()]
        self._code = self._code[: only.start()].replace(";", " ") + only[0]

    def _check_words(self) -> None:
        first = re.search(r"\S", self._code)
        word = _OTHER_STATEMENTS.match(self._code, first.start()) if first else None
        if word:
            raise self._refusal(f"begins with {word[0].upper()}: write one SELECT, which may have a WITH before it", word.start())
        if first and not _QUERIES.match(self._code):
            raise self._refusal("does not begin with SELECT or WITH: write one SELECT", first.start())
        changes = _CHANGES_DATA.search(self._code)
        if changes:
            what = changes[1].split()[0].upper()
            raise self._refusal(f"changes data with {what}: a query may only read", changes.start(1))
        locks = _LOCKS.search(self._code)
        if locks:
            raise self._refusal(f"locks rows with {locks[0].upper()}: a query may only read", locks.start())
        quote = _TYPOGRAPHIC.search(self._code)
        if quote:
            raise self._refusal(
                f"has {quote[0]} for a quotation mark: write ' around a text, and \" around a name", quote.start()
            )

    def _check_marks(self, parameters: Mapping[str, Any]) -> None:
        """Refuse the name of a parameter in the style of another tool, or as a text."""
        name = rf"({'|'.join(map(re.escape, parameters)) or '(?!)'})"
        marks = (
            rf"%\({name}\)s", rf"(?<![\w@$])[@$]{name}\b", rf"[$#]?\{{{name}\}}", rf":(?:'{name}'|\"{name}\")",
            rf"'(?:[:@$]{name}|\$?\{{{name}\}}|%\({name}\)s)'",
        )  # fmt: skip
        for found in re.finditer("|".join(marks), self._text):
            if self._code[found.start()] != HIDDEN and not self._code[found.start()].isspace():
                meant = next(filter(None, found.groups()))
                raise self._refusal(f"has {found[0]}: write :{meant}, without quotes", found.start())

    def _refusal(self, what: str, at: int | None = None) -> Unusable:
        name = self.query.at(*([] if at is None else [self.line(at)]))
        return Unusable(f"The {name} {what}.")


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    parts, done = [], 0
    for start, end, instead in edits:
        parts += [text[done:start], instead]
        done = end
    return "".join([*parts, text[done:]])
