"""Measures the push and the road to it, beside other clients and beside the limit of the machine.

python -m benchmarks all      everything of docs/performance.md that takes less than ten minutes
python -m benchmarks large    the page with 1,000,000 conversions, the night of 10,000,000, a push with as many finished ones,
                              and the other clients with more rows
python -m benchmarks push --tls --server-ms 50 --concurrency 256 --events 30000      one line of it
python -m benchmarks list     prints the lines of all and large
python -m benchmarks imports --repeat 5      seconds of a core of the imports of each task
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

from benchmarks import imports, peers, pieces, provenance, report
from benchmarks.stage import Stage, measured, together
from demo.simulator import SimulatorProcess
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
    if options.piece == "imports":
        print("\n".join(imports.lines(options.repeat)))
        return
    lines = {"all": _all, "large": _large}.get(options.piece)
    groups = list(lines()) if lines else [[list(arguments)]]
    if any(command[0] in peers.PIECES for group in groups for command in group):
        peers.available()  # before the stage lets clients trust its own authority alone
    with Stage(logs_statements=options.statements) as stage:
        ((version,),) = stage.night.sql("SHOW server_version")
        origin = {**provenance.origin(), "machine": provenance.machine(version.partition(" ")[0])}
        for group in groups:
            for measurement in _in_turn(stage, {" ".join(command): parser.parse_args(command) for command in group}):
                result = measurement | origin
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


def _median(command: str, options: argparse.Namespace, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The turn in the middle, by its seconds, and each turn."""
    median = sorted(turns, key=lambda turn: turn.get("seconds", 0.0))[len(turns) // 2]
    is_timed = all("seconds" in turn for turn in turns)
    return {
        "command": f"python -m benchmarks {command}",
        "piece": options.piece,
        "tls": options.tls,
        "server_ms": options.server_ms,
        "concurrency": options.concurrency,
        "workers": options.workers,
        "history": options.history,
        "certifi": options.certifi,
        "zones": options.zones,
        **median,
        **({"rate": statistics.median(map(report.rate, turns)), "turns": turns} if is_timed else {}),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def _stored_once(simulator: SimulatorProcess, events: int) -> None:
    """Fail unless the simulator stored so many events, each once."""
    stored = simulator.summary()
    if stored["action_ids"] != events or stored["events"] != events:
        raise RuntimeError(f"the simulator stored {stored['events']} events, not {events}, each once")


def _loop(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    return _posting(stage, options, lambda url: measured(pieces.loop, url, options.events))


def _threads(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    return _posting(stage, options, lambda url: measured(pieces.threads, url, options.events, options.concurrency))


def _transport(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    return _posting(stage, options, lambda url: measured(pieces.transport, url, options.events, options.concurrency))


def _aiohttp(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    program = peers.available()
    if program is None:
        return {}
    bodies = pieces.bodies(options.events)
    return _posting(
        stage, options, lambda url: peers.posting_with_aiohttp(program, stage.folder, url, bodies, options.concurrency)
    )


def _drt(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """From a table to the socket; it has no ledger."""
    program = peers.available()
    if program is None:
        return {}
    first = int(time.time() * 1000) - 3_600_000
    stage.night.sql(peers.ROWS, str(time.time_ns()), first, options.events)
    return _posting(
        stage, options, lambda url: peers.syncing_with_drt(program, stage.folder, url, stage.place, options.concurrency)
    )


def _posting(stage: Stage, options: argparse.Namespace, post: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What a client that has no ledger does at the simulator's address."""
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    found = post(f"{simulator.url}/event")
    _stored_once(simulator, options.events)
    return {**found, "events": options.events}


def _push(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """All workers together; their core's seconds and peak memory are those of one."""
    simulator = stage.simulator(tls=options.tls, server_ms=options.server_ms)
    stage.history(options.history)
    stage.fill(options.events)
    plan = stage.run().to_json()
    url = f"{simulator.url}/event"
    workers = [(pieces.push, stage.place, plan, url, worker, options.concurrency) for worker in range(options.workers)]
    with stage.server_costs() as costs:
        results = together(*workers)
    _stored_once(simulator, options.events)
    return {
        "events": sum(result["events"] for result in results),
        "seconds": max(result["seconds"] for result in results),
        "core_seconds": sum(result["core_seconds"] for result in results),
        "peak_mb": max(result["peak_mb"] for result in results),
        **costs,
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
    with stage.server_costs() as costs:
        found = measured(pieces.extract, stage.place, plan, options.events)
    return found | costs


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


def _local_times(_: Stage, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks import local_times  # as above

    return measured(local_times.converting, options.events, options.zones)


def _start(name: str) -> Piece:
    """A start; there are no events."""

    def measure(stage: Stage, _: argparse.Namespace) -> dict[str, Any]:
        from benchmarks import starts  # as above

        return dict(getattr(starts, name)(stage))

    return measure


def _idle(stage: Stage, _: argparse.Namespace) -> dict[str, Any]:
    """A run with nothing to do; Airflow is started for the first turn."""
    from benchmarks import idle  # as above

    return idle.run(stage.idle)


def _page(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """The median of every request of the page; there is no rate."""
    from benchmarks import page  # not in the processes of the others, whose memory is measured

    return {"events": options.events, "lines": [asdict(line) for line in page.measure(stage.postgres, options.events)]}


PIECES: dict[str, Piece] = {
    "loop": _loop,
    "threads": _threads,
    "aiohttp": _aiohttp,
    "drt": _drt,
    "transport": _transport,
    "push": _push,
    "wrk": _wrk,
    "extract": _extract,
    "lookup": _lookup,
    "attribution": _attribution,
    "local-times": _local_times,
    "help": _start("help_of_command"),
    "check": _start("check"),
    "dag": _start("dag_file"),
    "idle": _idle,
    "page": _page,
}


def _all() -> Iterator[list[list[str]]]:
    """Groups of what is compared, each measured in turn.

    Each server time has as many requests at once as suit it, and so many events that opening connections counts little.
    A client that is slow gets fewer events: a few seconds' worth.
    """
    for tls, server_ms, at_once, pushed, loop, aio, drt, threads in (
        (True, 0, 64, 60_000, 1_000, 20_000, 2_000, 8),
        (True, 50, 256, 120_000, 60, 20_000, 6_400, 64),
        (True, 200, 512, 40_000, 15, 20_000, 6_400, 128),
        (False, 0, 64, 60_000, 1_000, 20_000, 2_000, 8),
    ):
        where = [*(["--tls"] if tls else []), "--server-ms", str(server_ms)]
        here = [*where, "--concurrency", str(at_once)]
        group = [
            ["loop", *where, "--events", str(loop)],
            ["push", *here, "--events", str(pushed)],
            ["wrk", *here],
            ["transport", *here, "--events", str(pushed)],
            ["threads", *where, "--concurrency", "16", "--events", str(loop * (4 if server_ms == 0 else 16))],
            ["aiohttp", *here, "--events", str(aio)],
            ["drt", *where, "--concurrency", str(threads), "--events", str(drt)],
        ]
        if tls and server_ms < 200:
            group.append(["push", *here, "--events", str(pushed), "--workers", "2"])
        yield _thrice(group)
    where = ["--tls", "--certifi", "--server-ms", "0"]
    yield _thrice([["loop", *where, "--events", "300"], ["push", *where, "--concurrency", "64", "--events", "60000"]])
    yield [_push_of(10_000), *(_peer_of(piece, 10_000) for piece in ("loop", "threads", "aiohttp", "drt"))]
    yield _thrice([_extract_of(10_000), _extract_of(100_000)])
    yield [*_thrice([_push_of(100_000)]), _peer_of("aiohttp", 100_000)]
    yield _thrice([_extract_of(1_000_000)])
    yield [_push_of(1_000_000)]
    yield [["lookup", "--events", "1000000"]]
    yield [["attribution", "--events", "100000"], ["attribution", "--events", "1000000"]]
    zones = [["local-times", "--events", "1000000", "--zones", number] for number in ("8", "400")]
    yield _thrice([*zones, ["help"], ["check"], ["dag"]])
    yield _thrice([["idle"]])


def _large() -> Iterator[list[list[str]]]:
    """Pushes come before extractions on the same ledger, since they send whatever is ready.

    The other clients go to as many rows as they send in ten minutes.
    """
    yield [["page", "--events", "1000000"]]
    history = ["--history", "10000000"]
    yield _thrice([_push_of(100_000), [*_push_of(100_000), *history]])
    yield _thrice([_extract_of(100_000), [*_extract_of(100_000), *history]])
    yield [_peer_of(piece, 100_000) for piece in ("loop", "threads", "drt")] + [_peer_of("aiohttp", 1_000_000)]
    yield [_extract_of(10_000_000)]
    yield [_push_of(10_000_000)]


def _thrice(commands: list[list[str]]) -> list[list[str]]:
    return [[*command, "--repeat", "3"] for command in commands]


def _push_of(events: int) -> list[str]:
    return ["push", "--tls", "--concurrency", "64", "--events", str(events)]


def _peer_of(piece: str, events: int) -> list[str]:
    """A client of others, with the number of requests at once that suits it where the server answers at once."""
    at_once = {"loop": "1", "threads": "16", "aiohttp": "64", "drt": "8"}[piece]
    return [piece, "--tls", "--concurrency", at_once, "--events", str(events)]


def _extract_of(events: int) -> list[str]:
    return ["extract", "--events", str(events)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("piece", choices=[*PIECES, "all", "large", "list", "imports", "report"])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--certifi", action="store_true", help="trust all authorities of certifi, not the simulator's alone")
    parser.add_argument("--server-ms", type=float, default=0, help="how long the server takes for an answer")
    parser.add_argument("--concurrency", type=int, default=64, help="requests at once, of one worker")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--history", type=int, default=0, help="finished conversions in the ledger")
    parser.add_argument("--zones", type=int, default=8, help="zones of local times")
    parser.add_argument("--seconds", type=int, default=10, help="how long wrk posts")
    parser.add_argument("--statements", action="store_true", help="print PostgreSQL's seconds by statement (extract, push)")
    parser.add_argument("--keep", action="store_true", help="keep the result for the report")
    parser.add_argument("--repeat", type=int, default=1, help="the median of so many runs counts")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
