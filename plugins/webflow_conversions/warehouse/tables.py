"""The tables and columns that a query reads, from its text alone. For lineage; nothing else in the package needs sqlglot."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlglot import exp, parse
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.scope import traverse_scope

from webflow_conversions.errors import Unusable

_DIALECTS = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql", "default": ""}
"""sqlglot's names of dialects that SQLAlchemy, or Airflow, calls otherwise."""


class Table(NamedTuple):
    """A table as the query names it, in the letters that the database takes it for; ``database`` and ``schema`` may be empty."""

    database: str
    schema: str
    name: str


class Origin(NamedTuple):
    """A column that a query returns, in small letters, and a column of a table that it comes from."""

    column: str
    table: Table
    table_column: str


class Reading(NamedTuple):
    """What a query reads; ``origins`` lack the columns that ``*`` stands for."""

    tables: frozenset[Table]
    origins: frozenset[Origin]


def read_by(sql: str, dialect: str) -> Reading:
    """What a query of the configuration reads, without the tables that it defines itself and without functions.

    :param dialect: SQLAlchemy's name of it.
    :raises Unusable: if it cannot be understood.
    """
    name = _DIALECTS.get(dialect, dialect)
    try:
        # In the files, a colon that begins no bind is written \:. Behind a semicolon there may be a comment.
        (tree,) = (one for one in parse(sql.replace("\\:", ":"), dialect=name) if one and not isinstance(one, exp.Semicolon))
        tree = normalize_identifiers(tree, dialect=name)
        tables = frozenset(_tables(tree))
    except ParseError as error:
        raise Unusable(f"It is not understood in line {error.errors[0].get('line')}.") from error
    except (SqlglotError, ValueError) as error:  # ValueError: a dialect that sqlglot does not know
        raise Unusable("It is not understood.") from error
    return Reading(tables, frozenset(_origins(tree, name)))


def _tables(tree: exp.Expr) -> Iterator[Table]:
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
                yield _table(source)


def _origins(tree: exp.Expr, dialect: str) -> Iterator[Origin]:
    try:
        nodes = lineage(None, tree, {}, dialect=dialect)
    except SqlglotError:  # Then the tables alone are known.
        return
    assert isinstance(nodes, dict)  # noqa: S101 - it is, where no column is named
    for column, node in nodes.items():
        for leaf in node.walk():
            origin = leaf.name.rpartition(".")[2]
            if not leaf.downstream and origin != "*" and isinstance(leaf.expression, exp.Table):
                yield Origin(column.lower(), _table(leaf.expression), origin)


def _table(found: exp.Table) -> Table:
    return Table(found.catalog, found.db, found.name)
