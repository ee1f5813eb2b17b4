"""Measures the push and the road to it, beside what most people would write and beside the limit of the machine.

python -m benchmarks all      everything of docs/performance.md that takes less than ten minutes
python -m benchmarks large    the page with 1,000,000 conversions, the night of 10,000,000, and a push with as many finished ones
python -m benchmarks push --tls --server-ms 50 --concurrency 256 --events 30000      one line of it
python -m benchmarks list     prints the lines of all and large
python -m benchmarks report   writes docs/performance.md's tables and plots anew from the last results
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import pieces, report
from benchmarks.stage import Stage, measured, together
from tests.night import CUSTOMER_ID, TOKEN

Piece = Callable[[Stage, argparse.Namespace], dict[str, Any]]

WRK_SCRIPT = Path(__file__).with_name("wrk.lua")


def main(arguments: Sequence[str]) -> None:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.piece == "report":
        report.write()
        return
    if options.piece == "list":
        print("\n".join(" ".join(command) for group in (*_all(), *_large()) for command in group))
        return
    lines = {"all": _all, "large": _large}.get(options.piece)
    groups = lines() if lines else [[list(arguments)]]
    with Stage() as stage:
        for group in groups:
            for result in _in_turn(stage, {" ".join(command): parser.parse_args(command) for command in group}):
                print(json.dumps(result), flush=True)
                if lines or options.keep:
                    report.keep(result)
    if lines:
        report.write()


def _in_turn(stage: Stage, commands: dict[str, argparse.Namespace]) -> Iterator[dict[str, Any]]:
    """The commands one after the other, then again, each as often as it says: the machine's speed changes within minutes."""
    results: dict[str, list[dict[str, Any]]] = {command: [] for command in commands}
    for turn in range(max(options.repeat for options in commands.values())):
        for command, options in commands.items():
            if turn < options.repeat:
                stage.trust(everybody=options.certifi)
                results[command].append(PIECES[options.piece](stage, options))
    for command, found in results.items():
        if all(found):
            yield _median(command.removesuffix(" --keep"), commands[command], found)


def _median(command: str, options: argparse.Namespace, results: list[dict[str, Any]]) -> dict[str, Any]:
    """The result in the middle, by its seconds."""
    median = sorted(results, key=lambda result: result.get("seconds", 0.0))[len(results) // 2]
    rates = [result["events"] / result["seconds"] for result in results if "seconds" in result]
    return {
        "command": f"python -m benchmarks {command}",
        "piece": options.piece,
        "tls": options.tls,
        "server_ms": options.server_ms,
        "concurrency": options.concurrency,
        "workers": options.workers,
        "history": options.history,
        "certifi": options.certifi,
        **median,
        **({"rate": statistics.median(rates), "rates": [round(rate, 1) for rate in rates]} if rates else {}),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def _loop(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    return measured(pieces.loop, f"{simulator.url}/event", options.events)


def _threads(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    return measured(pieces.threads, f"{simulator.url}/event", options.events, options.concurrency)


def _transport(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    return measured(pieces.transport, f"{simulator.url}/event", options.events, options.concurrency)


def _push(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """All workers together; their core's seconds and peak memory are those of one."""
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    stage.history(options.history)
    stage.fill(options.events)
    plan = stage.run().to_json()
    url = f"{simulator.url}/event"
    results = together(*((pieces.push, stage.place, plan, url, worker, options.concurrency) for worker in range(options.workers)))
    stored = simulator.summary()
    if stored["action_ids"] != options.events or stored["events"] != options.events:
        raise RuntimeError(f"the simulator stored {stored['events']} events, not {options.events}, each once")
    return {
        "events": sum(result["events"] for result in results),
        "seconds": max(result["seconds"] for result in results),
        "core_seconds": sum(result["core_seconds"] for result in results),
        "peak_mb": max(result["peak_mb"] for result in results),
    }


def _wrk(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    if shutil.which("wrk") is None:
        print("SKIPPED: wrk is not installed, so the limit of the machine is not measured (apt install wrk).", file=sys.stderr)
        return {}
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    script = ["-s", str(WRK_SCRIPT), f"{simulator.url}/event", "--"]
    values = [f"ApiKey {TOKEN}", CUSTOMER_ID, str(int(time.time() * 1000) - 3_600_000), str(time.time_ns())]
    command = ["wrk", "-t1", f"-c{options.concurrency}", f"-d{options.seconds}s", "--timeout", "30s", *script, *values]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    requests, microseconds, errors = map(int, output.rpartition("RESULT ")[2].split())
    if errors:
        raise RuntimeError(f"wrk met {errors} errors: {output}")
    return {"events": requests, "seconds": microseconds / 1e6}


def _extract(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """A warehouse of so many sales by a fifth as many people; every tenth is a stranger."""
    stage.history(options.history)
    stage.night.sql(
        "DROP TABLE IF EXISTS big_sales, big_people;"
        "CREATE TABLE big_sales AS SELECT %s || g AS conversion_id, %s - g %% 172000 * interval '1 s' AS occurred_at,"
        " 'k' || g %% %s AS identity_key, (g %% 100000)::numeric / 100 AS value, NULL::text AS event_name"
        " FROM generate_series(1, %s) g;"
        "CREATE TABLE big_people AS SELECT 'k' || g AS identity_key, 'crm' AS user_domain, 'user-' || g AS user_id,"
        " %s - interval '9 days' AS identified_at FROM generate_series(0, %s) g WHERE g %% 10 > 0;"
        "CREATE INDEX ON big_people (identity_key); ANALYZE big_sales; ANALYZE big_people",
        f"c{int(time.time())}-",
        stage.night.clock.at,
        max(options.events // 5, 1),
        options.events,
        stage.night.clock.at,
        options.events // 5,
    )
    plan = stage.night.begin(stage.name()).to_json()
    return measured(pieces.extract, stage.place, plan, options.events)


def _lookup(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Each conversion has a person of its own."""
    stage.history(options.history)
    stage.fill(options.events)
    stage.night.sql(
        "DROP TABLE IF EXISTS big_people;"
        "CREATE TABLE big_people AS SELECT 'k' || g AS identity_key, 'crm' AS user_domain, 'user-' || g AS user_id,"
        " %s - interval '9 days' AS identified_at FROM generate_series(1, %s) g;"
        "CREATE INDEX ON big_people (identity_key); ANALYZE big_people",
        stage.night.clock.at,
        options.events,
    )
    plan = stage.night.begin(stage.name()).to_json()
    return measured(pieces.lookup, stage.place, plan, options.events)


def _attribution(_: Stage, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks import attribution  # not in the processes of the others, whose memory is measured

    return measured(attribution.judging, options.events)


def _page(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """The median of every request of the page; there is no rate."""
    from benchmarks import page  # not in the processes of the others, whose memory is measured

    return {"events": options.events, "lines": [asdict(line) for line in page.measure(stage.postgres, options.events)]}


PIECES: dict[str, Piece] = {
    "loop": _loop,
    "threads": _threads,
    "transport": _transport,
    "push": _push,
    "wrk": _wrk,
    "extract": _extract,
    "lookup": _lookup,
    "attribution": _attribution,
    "page": _page,
}


def _all() -> Iterator[list[list[str]]]:
    """Groups of what is compared, each measured in turn.

    Each server time has as many requests at once as suit it, and so many events that opening connections counts little.
    """
    for tls in ([], ["--tls"]):
        for server_ms, at_once, pushed, loop in ((0, 64, 60_000, 1_000), (50, 256, 120_000, 60), (200, 512, 40_000, 15)):
            where = [*tls, "--server-ms", str(server_ms)]
            here = [*where, "--concurrency", str(at_once)]
            group = [
                ["loop", *where, "--events", str(loop)],
                ["push", *here, "--events", str(pushed)],
                ["wrk", *here],
                ["transport", *here, "--events", str(pushed)],
                ["threads", *where, "--concurrency", "16", "--events", str(loop * (4 if server_ms == 0 else 16))],
            ]
            if tls and server_ms < 200:
                group.append(["push", *here, "--events", str(pushed), "--workers", "2"])
            yield _thrice(group)
    where = ["--tls", "--certifi", "--server-ms", "0"]
    yield _thrice([["loop", *where, "--events", "300"], ["push", *where, "--concurrency", "64", "--events", "60000"]])
    yield [_push_of(10_000)]
    yield [_extract_of(10_000)]
    yield _thrice([_push_of(100_000)])
    yield _thrice([_extract_of(100_000)])
    yield [_push_of(1_000_000)]
    yield [_extract_of(1_000_000)]
    yield [["lookup", "--events", "1000000"]]
    yield [["attribution", "--events", "100000"], ["attribution", "--events", "1000000"]]


def _large() -> Iterator[list[list[str]]]:
    """Pushes come before extractions on the same ledger, since they send whatever is ready."""
    yield [["page", "--events", "1000000"]]
    history = ["--history", "10000000"]
    yield _thrice([_push_of(100_000), [*_push_of(100_000), *history]])
    yield _thrice([_extract_of(100_000), [*_extract_of(100_000), *history]])
    yield [_extract_of(10_000_000)]
    yield [_push_of(10_000_000)]


def _thrice(commands: list[list[str]]) -> list[list[str]]:
    return [[*command, "--repeat", "3"] for command in commands]


def _push_of(events: int) -> list[str]:
    return ["push", "--tls", "--concurrency", "64", "--events", str(events)]


def _extract_of(events: int) -> list[str]:
    return ["extract", "--events", str(events)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("piece", choices=[*PIECES, "all", "large", "list", "report"])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--certifi", action="store_true", help="trust all authorities of certifi, not the simulator's alone")
    parser.add_argument("--server-ms", type=float, default=0, help="how long the server takes for an answer")
    parser.add_argument("--concurrency", type=int, default=64, help="requests at once, of one worker")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--history", type=int, default=0, help="finished conversions in the ledger")
    parser.add_argument("--seconds", type=int, default=10, help="how long wrk posts")
    parser.add_argument("--keep", action="store_true", help="keep the result for the report")
    parser.add_argument("--repeat", type=int, default=1, help="the median of so many runs counts")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
