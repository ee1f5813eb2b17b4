"""The JSON schema of the configuration, by which editors complete, explain and check it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from webflow_conversions.documents import schema
from webflow_conversions.files import Loader

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "include" / "conversions.yaml"
KEPT = (ROOT / "plugins/webflow_conversions/cli/templates/conversions.schema.json").read_text(encoding="utf-8")
SCHEMA = json.loads(KEPT)


def sample() -> dict[str, Any]:
    return dict(yaml.load(SAMPLE.read_text(encoding="utf-8"), Loader))


def test_the_schema_that_is_kept_is_what_the_document_and_the_code_say() -> None:
    assert schema.page((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")) == KEPT


def test_every_key_of_the_schema_has_the_document_s_words() -> None:
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            assert len(field.get("description", "")) > 3, name
            assert "](" not in field["description"]
    assert SCHEMA["$defs"]["Guards"]["properties"]["volume_factor"]["description"].startswith("More than so many times")


def test_the_schema_is_one_and_takes_the_sample() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(sample(), SCHEMA)


@pytest.mark.parametrize(
    "changed",
    [{"sorces": []}, {"sources": []}, {"currency": "euro"}, {"delivery": {"workers": 0}}, {"delivery": {"in_doubt": "maybe"}}],
)
def test_the_schema_refuses_what_the_command_refuses(changed: Mapping[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**sample(), **changed}, SCHEMA)


def test_editors_find_the_schema_by_the_sample_s_first_line() -> None:
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", SAMPLE.read_text(encoding="utf-8").splitlines()[0])
    assert found
    assert json.loads((SAMPLE.parent / found[1]).read_text(encoding="utf-8")) == SCHEMA
