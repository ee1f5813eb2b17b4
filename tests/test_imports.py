"""Imports point inward: rules ← use cases ← ledger, wire, warehouse ← hooks ← operators, UI. Only the outside knows Airflow."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"
PACKAGE = "webflow_conversions"

CORE = {"rules", "errors"}
USE_CASES = {"pipeline", "delivery"}
ADAPTERS = {"ledger", "transport", "warehouse"}

MAY_IMPORT = {
    "__init__": set(),
    "errors": set(),
    "rules": CORE,
    "reasons": {"rules"},
    "configuration": CORE,
    "pipeline": CORE | {"delivery", "pipeline", "__init__"},
    "delivery": CORE | {"delivery"},
    "ledger": CORE | USE_CASES | {"ledger"},
    "transport": CORE | {"delivery", "transport"},
    "warehouse": CORE | {"warehouse"},
    "provider": {"__init__"},
    "hooks": CORE | USE_CASES | ADAPTERS | {"hooks", "__init__"},
    "operators": CORE | USE_CASES | ADAPTERS | {"configuration", "hooks", "operators", "__init__"},
    "timetable": CORE | {"__init__"},
    "ui": CORE | USE_CASES | ADAPTERS | {"configuration", "hooks", "ui", "__init__"},
}
"""The parts of the package, and which of its parts each may import."""

KNOW_AIRFLOW = {"hooks", "operators", "timetable", "ui"}
KNOW_NO_OUTSIDE = {"errors", "rules", "reasons", "configuration", "pipeline", "delivery"}
"""What never touches a database or the wire."""

LIBRARIES_OF_THE_CORE = {"numpy", "pandas", "pydantic", "yaml"}

MODULES = sorted((PLUGINS / PACKAGE).rglob("*.py"))


def part_of(name: str) -> str:
    """``webflow_conversions.rules.window`` is of ``rules``, ``webflow_conversions`` itself of ``__init__``."""
    return [*name.split("."), "__init__"][1]


def part(path: Path) -> str:
    return path.relative_to(PLUGINS / PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by its whole name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            below = [name.name for name in node.names] if node.module == PACKAGE else []
            yield from (f"{PACKAGE}.{name}" if name in MAY_IMPORT else PACKAGE for name in below)
            if not below:
                yield node.module


def named(path: Path) -> str:
    return str(path.relative_to(PLUGINS))


def test_the_modules_are_found() -> None:
    assert len(MODULES) > 40
    assert {part(path) for path in MODULES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_imports_only_what_lies_further_in(path: Path) -> None:
    own = {part_of(name) for name in imported(path) if name.split(".")[0] == PACKAGE}
    assert own <= MAY_IMPORT[part(path)]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_the_outside_knows_airflow(path: Path) -> None:
    knows = any(re.fullmatch(r"airflow(\..*)?", name) for name in imported(path))
    assert not knows or part(path) in KNOW_AIRFLOW


@pytest.mark.parametrize("path", [path for path in MODULES if part(path) in KNOW_NO_OUTSIDE], ids=named)
def test_the_inside_knows_no_driver_and_no_client(path: Path) -> None:
    foreign = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {PACKAGE}
    assert foreign <= LIBRARIES_OF_THE_CORE
    assert not foreign & {"sqlite3", "socket", "http"}


def test_no_part_may_import_itself_through_another() -> None:
    """The parts are in an order: what one may import may not import it."""
    for name, inner in MAY_IMPORT.items():
        for other in inner - {name}:
            assert name not in MAY_IMPORT[other]
