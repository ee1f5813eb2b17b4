"""What the report makes of results, what it refuses to compare, and that every part of it has its place in docs/performance.md."""

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import peers, pieces, provenance, report
from benchmarks.stage import core_seconds_of

HERE = {"commit": "1a2b3c4d5e", "clean": True, "code": "code-a", "machine": "two cores"}
OTHER_CODE = HERE | {"commit": "5e4d3c2b1a", "code": "code-b"}
OTHER_MACHINE = HERE | {"machine": "four cores"}
UNKNOWN: dict[str, Any] = {}


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
        **HERE,
    }


def result(line: str, *seconds: float, events: int = 1_000, origin: dict[str, Any] = HERE, **of_turn: Any) -> dict[str, Any]:
    """A result of these turns, as it is kept."""
    options = benchmarks._parser().parse_args([*line.split(), "--events", str(events)])
    turns = [{"events": events, "seconds": took, "core_seconds": took / 2, "peak_mb": 10.0, **of_turn} for took in seconds]
    return benchmarks._median(line, options, turns) | origin


def verdicts(results: list[dict[str, Any]]) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in report.goals(results).splitlines()[2:]]
    return {goal: rest for goal, *rest in rows}


def cells(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]


IN_TIME = "the page, 1,000,000 conversions ({}): each request's data in at most 100 ms"
NO_SCAN = "… and no sequential scan of a table that grows"
OF_WRK = "push, TLS, 0 ms: at least 60 % of wrk"
PUSH, WRK = "push --tls --server-ms 0", "wrk --tls --server-ms 0"


def test_the_slowest_request_of_the_page_is_held_against_its_goal() -> None:
    found = verdicts([page(100.0, 101.0)])
    scanning = verdicts([page(1.0, 2.0, scanned=("history",))])

    assert [found[IN_TIME.format(ledger)] for ledger in ("90 nights", "one night")] == [
        ["100 ms", "–", "yes", HERE["commit"]],
        ["101 ms", "–", "**no**", HERE["commit"]],
    ]
    assert (found[NO_SCAN], scanning[NO_SCAN]) == (
        ["0", "–", "yes", HERE["commit"]],
        ["2", "–", "**no**", HERE["commit"]],
    )


def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert {tuple(rest) for rest in verdicts([]).values()} == {("–", "–", "not measured", "–")}
    assert report.page([page(1.0, 2.0, events=1_000)]) == "Not measured yet."


def test_the_page_has_a_column_for_each_ledger() -> None:
    assert report.page([page(12.34, 1_200.0, scanned=("history",))]).splitlines()[2:] == [
        "| Request | 90 nights, ms | one night, ms | Sequential scan of |",
        "| --- | --- | --- | --- |",
        "| overview | 12.3 | 1,200.0 | history |",
    ]


def test_the_report_writes_every_part_into_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "performance.md"
    shutil.copy(report.DOCUMENT, document)
    results = [page(7.0, 8.0), result(PUSH, 1.0, 2.0), result("drt --tls --server-ms 0", 5.0), result("extract", 3.0)]
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    monkeypatch.setattr(report, "DOCUMENT", document)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "PLOTS", tmp_path / "images")

    report.write()

    text = document.read_text(encoding="utf-8")
    for part in (report.machine, report.ratios, report.rates, report.costs, report.growth, report.page, report.goals):
        assert part(report.load()) in text, part.__name__


# What is compared, and what is not


def test_figures_of_one_code_and_machine_are_compared_turn_by_turn() -> None:
    results = [result(PUSH, 1.0, 2.0, 4.0), result(WRK, 0.7, 1.0, 2.0)]
    assert verdicts(results)[OF_WRK] == ["50%", "50% to 70%", "**no**", HERE["commit"]]


@pytest.mark.parametrize("origin", [OTHER_CODE, OTHER_MACHINE, UNKNOWN], ids=["code", "machine", "not recorded"])
def test_a_figure_of_another_origin_is_compared_with_none(origin: dict[str, Any]) -> None:
    results = [result(WRK, 1.0, origin=origin), result(PUSH, 1.0)]
    place, *ratios = cells(report.ratios(results))[0]

    assert verdicts(results)[OF_WRK] == ["–", "–", "not measured", "–"]
    assert (place, set(ratios)) == ("TLS, server takes 0 ms", {"–"})


def test_figures_whose_commit_was_not_recorded_are_not_compared_with_each_other() -> None:
    results = [result(WRK, 1.0, origin=UNKNOWN), result(PUSH, 1.0, origin=UNKNOWN)]
    assert verdicts(results)[OF_WRK] == ["–", "–", "not measured", "–"]


@pytest.mark.parametrize("part", [report.rates, report.growth, report.costs])
def test_a_table_marks_the_rows_that_have_not_the_origin_of_its_newest(part: Callable[[list[dict[str, Any]]], str]) -> None:
    costs = {"server_core_seconds": 0.1, "wal_bytes": 100.0}
    where = " --server-ms 0" if part is report.rates else ""
    old = result(f"push --tls{where} --concurrency 8", 1.0, origin=OTHER_CODE, **costs)
    new = result(f"push{where}", 1.0, events=2_000, **costs)

    mixed, alone = part([old, new]), part([new])

    commits = {row[-2] for row in cells(mixed)}
    assert commits == {f"{OTHER_CODE['commit']} {report.MARK}", HERE["commit"]}
    assert mixed.splitlines()[-1].startswith(f"{report.MARK} ")
    assert report.MARK not in alone


def test_plots_show_results_of_one_origin_alone() -> None:
    results = [result(WRK, 1.0, origin=OTHER_CODE), result(PUSH, 1.0)]
    grown = [result("push --tls", 10.0, events=20_000, origin=OTHER_CODE), result("aiohttp --tls", 10.0, events=10_000)]

    assert (report.rates_plot(results).count("<title>"), report.rates_plot(results[:1]).count("<title>")) == (1, 1)
    assert (report.growth_plot(grown).count("<title>"), report.growth_plot(grown[:1]).count("<title>")) == (2, 2)
    assert "aiohttp on uvloop, 10,000 rows" in report.growth_plot(grown)


def test_a_figure_of_changed_files_says_so() -> None:
    changed = result(PUSH, 1.0, origin=HERE | {"clean": False})
    assert cells(report.rates([changed]))[0][-2] == f"{HERE['commit']}, changed"


def test_tables_show_the_lowest_and_the_highest_turn() -> None:
    (row,) = cells(report.rates([result(PUSH, 1.0, 2.0, 4.0)]))
    assert row[2:4] == ["500", "250 to 1,000"]


def test_a_new_result_takes_the_place_of_the_same_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    for line in ("extract --events 10", "extract --events 100", "extract --events 10 --repeat 3"):
        report.keep({"command": line})
    assert [kept["command"] for kept in report.load()] == ["extract --events 100", "extract --events 10 --repeat 3"]


# Where a figure comes from


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for path in ("plugins/a.py", "docs/a.md", "benchmarks/results.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("old", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a change")


def test_a_commit_of_documents_or_results_leaves_figures_comparable(checkout: Path) -> None:
    before = provenance.origin(checkout)
    (checkout / "docs" / "a.md").write_text("new", encoding="utf-8")
    (checkout / "benchmarks" / "results.json").write_text("new", encoding="utf-8")
    commit(checkout)
    after = provenance.origin(checkout)

    assert after["commit"] != before["commit"]
    assert (after["code"], after["clean"]) == (before["code"], True)


@pytest.mark.parametrize("path", ["plugins/a.py", "plugins/untracked.py"])
def test_a_change_of_what_is_measured_is_seen_before_it_is_committed(checkout: Path, path: str) -> None:
    before = provenance.origin(checkout)
    (checkout / path).write_text("new", encoding="utf-8")
    after = provenance.origin(checkout)

    assert (before["clean"], after["clean"], after["commit"]) == (True, False, before["commit"])
    assert after["code"] != before["code"]


def test_outside_a_checkout_no_origin_is_recorded(tmp_path: Path) -> None:
    assert provenance.origin(tmp_path) == {}


def test_the_server_s_seconds_are_those_of_its_processes_living_and_ended(tmp_path: Path) -> None:
    def process(number: int, parent: int, *ticks: int) -> None:
        (tmp_path / str(number)).mkdir()
        fields = ["S", parent, *[0] * 9, *ticks]
        (tmp_path / str(number) / "stat").write_text(f"{number} (a ) b) {' '.join(map(str, fields))} 0", encoding="utf-8")

    process(10, 1, 100, 200, 300, 400)
    process(11, 10, 1_000, 2_000, 7, 7)
    process(12, 1, 50_000, 50_000, 7, 7)

    assert core_seconds_of(10, tmp_path) == 4_000 / os.sysconf("SC_CLK_TCK")
    assert core_seconds_of(99, tmp_path) is None


# The other clients


def test_the_other_clients_are_pinned() -> None:
    lines = [line for line in peers.PACKAGES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert all(name and version for name, _, version in (line.partition("==") for line in lines))
    assert {"aiohttp", "drt-core", "uvloop"} <= {line.partition("==")[0] for line in lines}


def test_drt_sends_the_events_that_the_others_send() -> None:
    (body,) = map(json.loads, pieces.bodies(1))
    assert re.findall(r' AS "?(\w+)"?', peers.COLUMNS) == list(body)


def test_clients_that_cannot_be_installed_are_skipped_with_one_line_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    packages = tmp_path / "peers.txt"
    packages.write_text("aiohttp==0.0.999\n", encoding="utf-8")
    monkeypatch.setattr(peers, "PACKAGES", packages)
    monkeypatch.setattr(peers, "FOLDER", tmp_path / "peers")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    peers.available.cache_clear()

    commands = {line: benchmarks._parser().parse_args(line.split()) for line in ("aiohttp --repeat 3", "drt")}
    assert list(benchmarks._in_turn(Mock(), commands)) == []

    (skipped,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("SKIPPED"))
    assert "aiohttp and drt are not measured" in skipped
    assert "aiohttp==0.0.999" in skipped
    peers.available.cache_clear()


# The lines


def lines(*groups: list[list[str]]) -> list[argparse.Namespace]:
    return [benchmarks._parser().parse_args(command) for group in groups for command in group]


def test_every_line_of_the_benchmarks_can_be_run() -> None:
    assert {options.piece for options in lines(*benchmarks._all(), *benchmarks._large())} == set(benchmarks.PIECES)


def test_every_client_is_measured_in_turn_with_the_push_wherever_it_is_compared() -> None:
    groups = [lines(group) for group in benchmarks._all()]
    for tls, server_ms in report.PLACES:
        (group,) = (
            {(options.piece, options.repeat) for options in group}
            for group in groups
            if {(options.tls, options.server_ms, options.certifi) for options in group} == {(tls, server_ms, False)}
            and "wrk" in {options.piece for options in group}
        )
        assert group == {(piece, 3) for piece in report.NAMES}


@pytest.mark.parametrize("piece", ["extract", "push"])
def test_the_night_of_ten_million_rows_is_measured_on_both_roads(piece: str) -> None:
    large = lines(*benchmarks._large())
    assert [options.history for options in large if options.piece == piece and options.events == 10_000_000] == [0]


@pytest.mark.parametrize("piece", report.PEERS)
def test_the_growth_of_every_client_is_measured_from_ten_thousand_rows_to_a_hundred_thousand(piece: str) -> None:
    found = {
        options.events
        for group in (*benchmarks._all(), *benchmarks._large())
        for options, command in zip(lines(group), group, strict=True)
        if options.piece == piece and "--server-ms" not in command
    }
    assert {10_000, 100_000} <= found


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
    assert [turn["seconds"] for turn in of_loop["turns"]] == [5.0, 1.0, 2.0]
    assert (of_push["command"], of_push["rate"]) == ("python -m benchmarks push", 25.0)
