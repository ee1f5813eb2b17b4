"""What the report makes of results, and that every part of it has its place in docs/performance.md."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import report


def page(*milliseconds: float, events: int = 1_000_000, scanned: tuple[str, ...] = ()) -> dict[str, Any]:
    lines = [
        {"ledger": ledger, "what": "overview", "milliseconds": took, "scanned": list(scanned)}
        for ledger, took in zip(("90 nights", "one night"), milliseconds, strict=True)
    ]
    return {
        "command": "python -m benchmarks page",
        "piece": "page",
        "workers": 1,
        "history": 0,
        "certifi": False,
        "events": events,
        "lines": lines,
    }


def verdicts(results: list[dict[str, Any]]) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in report.goals(results).splitlines()[2:]]
    return {goal: rest for goal, *rest in rows}


IN_TIME = "the page, 1,000,000 conversions ({}): each request's data in at most 100 ms"
NO_SCAN = "… and no sequential scan of a table that grows"


def test_the_slowest_request_of_the_page_is_held_against_its_goal() -> None:
    found = verdicts([page(100.0, 101.0)])
    scanning = verdicts([page(1.0, 2.0, scanned=("history",))])

    assert [found[IN_TIME.format(ledger)] for ledger in ("90 nights", "one night")] == [["100 ms", "yes"], ["101 ms", "**no**"]]
    assert (found[NO_SCAN], scanning[NO_SCAN]) == (["0", "yes"], ["2", "**no**"])


def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert {tuple(rest) for rest in verdicts([]).values()} == {("–", "not measured")}
    assert report.page([page(1.0, 2.0, events=1_000)]) == "Not measured yet."


def test_the_page_has_a_column_for_each_ledger() -> None:
    assert report.page([page(12.34, 1_200.0, scanned=("history",))]).splitlines() == [
        "| Request | 90 nights, ms | one night, ms | Sequential scan of |",
        "| --- | --- | --- | --- |",
        "| overview | 12.3 | 1,200.0 | history |",
    ]


def test_the_report_writes_every_part_into_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "performance.md"
    shutil.copy(report.DOCUMENT, document)
    (tmp_path / "results.json").write_text(json.dumps([page(7.0, 8.0)]), encoding="utf-8")
    monkeypatch.setattr(report, "DOCUMENT", document)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "PLOTS", tmp_path / "images")

    report.write()

    text = document.read_text(encoding="utf-8")
    for part in (report.ratios, report.rates, report.growth, report.page, report.goals):
        assert part(report.load()) in text, part.__name__


def lines(*groups: list[list[str]]) -> list[argparse.Namespace]:
    return [benchmarks._parser().parse_args(command) for group in groups for command in group]


def test_every_line_of_the_benchmarks_can_be_run() -> None:
    assert {options.piece for options in lines(*benchmarks._all(), *benchmarks._large())} == set(benchmarks.PIECES)


@pytest.mark.parametrize("piece", ["extract", "push"])
def test_the_night_of_ten_million_rows_is_measured_on_both_roads(piece: str) -> None:
    large = lines(*benchmarks._large())
    assert [options.history for options in large if options.piece == piece and options.events == 10_000_000] == [0]


@pytest.mark.parametrize("piece", ["extract", "push"])
def test_the_ledgers_with_and_without_a_history_are_measured_in_turn(piece: str) -> None:
    (group,) = (
        group for group in map(lines, benchmarks._large()) if {options.piece for options in group} == {piece} and group[1:]
    )
    assert [(options.events, options.history, options.repeat) for options in group] == [(100_000, 0, 3), (100_000, 10_000_000, 3)]


def test_what_is_compared_is_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def piece(name: str, *seconds: float) -> Callable[..., dict[str, Any]]:
        taken = iter(seconds)

        def run(*_: Any) -> dict[str, Any]:
            order.append(name)
            return {"events": 100, "seconds": next(taken)}

        return run

    monkeypatch.setitem(benchmarks.PIECES, "loop", piece("loop", 5.0, 1.0, 2.0))
    monkeypatch.setitem(benchmarks.PIECES, "push", piece("push", 4.0))
    commands = {command: benchmarks._parser().parse_args(command.split()) for command in ("loop --repeat 3 --keep", "push")}

    of_loop, of_push = benchmarks._in_turn(Mock(), commands)

    assert order == ["loop", "push", "loop", "loop"]
    assert (of_loop["command"], of_loop["seconds"], of_loop["rate"]) == ("python -m benchmarks loop --repeat 3", 2.0, 50.0)
    assert (of_push["command"], of_push["rates"]) == ("python -m benchmarks push", [25.0])
