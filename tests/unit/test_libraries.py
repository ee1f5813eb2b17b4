"""What import-linter cannot say: its contracts name what is forbidden, and the inside may know nothing but what is listed here."""

import sys
import tomllib
from pathlib import Path

import grimp
import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
(CONTRACT,) = (one for one in PROJECT["tool"]["importlinter"]["contracts"] if "sqlite3" in one.get("forbidden_modules", ()))

LIBRARIES = {"numpy", "pandas", "pydantic", "yaml"}
MORE = {"webflow_conversions.documents": {"click"}}
"""What one part alone may know: the documents describe the command."""


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Who imports whom, wherever in a module."""
    return grimp.build_graph("webflow_conversions", include_external_packages=True, cache_dir=None)


@pytest.mark.parametrize("part", CONTRACT["source_modules"])
def test_the_inside_knows_no_library_but_these(imports: grimp.ImportGraph, part: str) -> None:
    imported = {
        name for module in {part, *imports.find_descendants(part)} for name in imports.find_modules_directly_imported_by(module)
    }
    foreign = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) - {"webflow_conversions"}
    assert foreign <= LIBRARIES | MORE.get(part, set())
