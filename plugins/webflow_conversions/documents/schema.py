"""The JSON schema of the configuration for editors, with the words of docs/configuration.md.

``python -m webflow_conversions.documents.schema`` in the project's folder writes it where the package keeps it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from webflow_conversions.configuration import Configuration

_KEPT = Path(__file__).parents[1] / "cli" / "templates" / "conversions.schema.json"
_ROW = re.compile(r"^\| `([a-z_.]+)` \| .* \| (.+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")


def schema(document: str) -> dict[str, Any]:
    """The schema; the rows of the document's tables, by key, are the descriptions."""
    made = Configuration.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "Off-site conversions for Webflow"
    words = {key: _LINK.sub(r"\1", text) for key, text in _ROW.findall(document)}
    for key, field in _fields(made, made["$defs"]):
        field.pop("title", None)
        if key in words:
            field["description"] = words[key]
    return made


def _fields(part: dict[str, Any], definitions: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key, as the document names it, with its part of the schema."""
    for name, field in part.get("properties", {}).items():
        yield f"{prefix}{name}", field
        branches = [field, *field.get("anyOf", [])]
        branches += [branch["items"] for branch in branches if isinstance(branch.get("items"), dict)]
        for branch in branches:
            if "$ref" in branch:
                yield from _fields(definitions[branch["$ref"].rpartition("/")[2]], definitions, f"{prefix}{name}.")


def page(document: str) -> str:
    """The schema as text."""
    return json.dumps(schema(document), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    _KEPT.write_text(page(Path("docs/configuration.md").read_text(encoding="utf-8")), encoding="utf-8")
