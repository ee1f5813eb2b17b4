"""``webflow-conversions test``: the configuration and its SQL against fixtures, for continuous integration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from webflow_conversions.cli.options import config_option, json_option, path_of, window_of
from webflow_conversions.cli.output import Output
from webflow_conversions.errors import Unusable
from webflow_conversions.rules.window import from_milliseconds

if TYPE_CHECKING:
    from webflow_conversions.cli.fixtures import Fixture
    from webflow_conversions.pipeline.preview import Foreseen
    from webflow_conversions.project import Project

CUSTOMER_ID = "123456789"
"""The customer ID in payloads of fixtures: a test knows no connection."""

FOLDER = "tests"
"""The folder beside the configuration in which fixtures lie."""

FIELDS = (
    "conversion_id", "event_name", "occurred_at", "action_timestamp_ms", "value", "identity_key", "user_domain", "user_id",
    "action_id", "state", "reason", "detail", "attribution", "attribution_reason", "payload",
)  # fmt: skip
"""The fields of a conversion that ``expect`` may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """The result of a fixture: the number of its conversions, and what differs, one sentence each."""

    path: Path
    conversions: int
    differences: Sequence[str]


@click.command("test")
@click.argument("fixtures", nargs=-1, type=click.Path(path_type=Path))
@config_option
@json_option
def test(fixtures: tuple[Path, ...], config_path: Path | None, as_json: bool) -> None:
    """Run the queries against FIXTURES: rows in, states and payloads out.

    Default: all tests/*.yaml beside the configuration. The tables of a fixture are made in an embedded DuckDB, so neither a
    connection nor a ledger is needed, and nothing is sent. Exit status 1 if anything differs.
    """
    output, path = Output(as_json=as_json), path_of(config_path)
    found = fixtures or tuple(sorted((path.parent / FOLDER).glob("*.yaml")))
    if not found:
        raise Unusable(f"There is no fixture {path.parent / FOLDER}/*.yaml: write one (docs/testing.md), or name a file.")
    results = [run_fixture(path, fixture) for fixture in found]
    for result in results:
        said = f"{len(result.differences)} different" if result.differences else f"{result.conversions} conversions as expected"
        output.line(f"{result.path}: {said}", style="bold red" if result.differences else "green")
        for sentence in result.differences:
            output.line(f"  {sentence}")
    are_same = not any(result.differences for result in results)
    documents = [
        {"fixture": str(one.path), "conversions": one.conversions, "differences": list(one.differences)} for one in results
    ]
    output.document({"ok": are_same, "fixtures": documents})
    if not are_same:
        raise SystemExit(1)


def run_fixture(config_path: Path, path: Path) -> Tested:
    """What comes out of a fixture, compared with what it expects.

    :raises Unusable: if fixture, configuration or a query is wrong.
    """
    from webflow_conversions.cli.fixtures import differences, read_fixture, warehouse_of
    from webflow_conversions.project import Project

    fixture = read_fixture(path)
    conversions, sentences = 0, list[str]()
    with warehouse_of(fixture) as warehouse:
        project = Project(config_path, lambda _: warehouse)
        for name, expected in fixture.expect.items():
            _refuse_unknown_fields(path, name, expected)
            found = [_document(one) for one in _foreseen(project, name, fixture)]
            conversions += len(found)
            sentences += [f"{name}: {sentence}" for sentence in differences(expected, found)]
    return Tested(path=path, conversions=conversions, differences=sentences)


def _foreseen(project: Project, name: str, fixture: Fixture) -> list[Foreseen]:
    from webflow_conversions.pipeline.run import Run

    window, source = window_of(fixture.date, fixture.now, sendable_only=False), project.config.source(name)
    run = Run(id=0, run_id="test", window=window, sources=[name], dry_run=True, force=True)
    return project.conversions(source, project.source_query(source, window), run, lambda: fixture.now)


def _document(one: Foreseen) -> dict[str, Any]:
    moment, event = one.action_timestamp_ms, one.event
    return {
        **{name: getattr(one, name) for name in FIELDS if name not in ("occurred_at", "payload")},
        "occurred_at": None if moment is None else from_milliseconds(moment).isoformat().replace("+00:00", "Z"),
        "payload": json.loads(event.body(CUSTOMER_ID)) if event else None,
    }


def _refuse_unknown_fields(path: Path, source: str, expected: Sequence[Mapping[str, Any]]) -> None:
    for place, wanted in enumerate(expected, 1):
        unknown = sorted(set(wanted) - set(FIELDS))
        if unknown or "conversion_id" not in wanted:
            what = f"has no field {unknown[0]!r}" if unknown else "names its conversion_id"
            raise Unusable(
                f"The fixture {path} is wrong at expect.{source}[{place}]: a conversion {what}: choose from {', '.join(FIELDS)}."
            )
