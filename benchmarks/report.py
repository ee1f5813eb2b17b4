"""Keeps results, and writes them into docs/performance.md: ratios, figures with their commands, plots, goals.

No figure is compared with one of another code or machine. Each result names the commit at which it was measured, whether
the measured files were those of the commit, a digest of these files, and the machine. Ratios, goals of two figures and
plots use results of one origin only; a table of figures marks the rows that have not the origin of its newest one.
"""

import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.page import LEDGERS

Result = dict[str, Any]
Turn = dict[str, Any]

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
PLOTS = DOCUMENT.parent / "images"

PLACES = [(True, 0.0), (True, 50.0), (True, 200.0), (False, 0.0)]
NAMES = {
    "loop": "requests.post an event",
    "threads": "requests.Session, 16 threads",
    "drt": "drt, table to socket",
    "aiohttp": "aiohttp on uvloop",
    "push": "the push, ledger to ledger",
    "transport": "its transport alone",
    "wrk": "wrk",
}
PEERS = ("loop", "threads", "drt", "aiohttp")
ROADS = {
    "attribution": "conversions and ten visits each → verdicts",
    "extract": "warehouse → ledger",
    "lookup": "conversions that wait → their users",
    "push": "ledger → socket → ledger",
}
COLOURS = {
    "loop": "#b0b0b0", "threads": "#808080", "drt": "#c2691c", "aiohttp": "#3a9d5d", "push": "#146ef5", "transport": "#7fb0ff",
    "wrk": "#404040", "extract": "#8b3fd1",
}  # fmt: skip
MARK = "†"
UNKNOWN = "not recorded"


class Figure(NamedTuple):
    """The median of the turns, their lowest and their highest, and the commit; ``low`` and ``high`` are None after one turn."""

    value: float
    low: float | None
    high: float | None
    commit: str


def keep(result: Result) -> None:
    """Keep a result in place of an older one of the same command, however often that was repeated."""
    kept = [other for other in load() if _once(other["command"]) != _once(result["command"])]
    RESULTS.write_text(json.dumps([*kept, result], indent=1) + "\n", encoding="utf-8")


def _once(command: str) -> str:
    return re.sub(r" --repeat \d+", "", command)


def load() -> list[Result]:
    """The results that were kept; the newest is the last."""
    return list(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else []


def write() -> None:
    """Write the tables between their marks in the document, and the plots beside it."""
    results = load()
    parts = {
        "machine": machine, "ratios": ratios, "rates": rates, "costs": costs, "growth": growth, "page": page, "goals": goals,
    }  # fmt: skip
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, part in parts.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = mark.sub(lambda found, part=part: found[1] + part(results) + "\n" + found[2], text)
    DOCUMENT.write_text(text, encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / "performance-rates.svg").write_text(rates_plot(results), encoding="utf-8")
    (PLOTS / "performance-growth.svg").write_text(growth_plot(results), encoding="utf-8")


# Where a result comes from


def origin(result: Result) -> tuple[str, str] | None:
    """What decides whether it may be compared: the measured code and the machine. None if they were not recorded."""
    return (result["code"], result["machine"]) if result.get("code") else None


def newest(results: Sequence[Result]) -> tuple[str, str] | None:
    """The origin of the newest result that has one."""
    return next((found for result in reversed(results) if (found := origin(result))), None)


def of_one_origin(results: Sequence[Result]) -> list[Result]:
    """Those that may be compared with the newest one."""
    wanted = newest(results)
    return [result for result in results if wanted and origin(result) == wanted]


def commit(result: Result) -> str:
    """The commit in words."""
    if not result.get("code"):
        return UNKNOWN
    return result["commit"] + ("" if result["clean"] else ", changed")


def marked(result: Result, wanted: tuple[str, str] | None) -> str:
    """The commit, marked where it is not the one of the table's newest row."""
    return commit(result) + ("" if wanted and origin(result) == wanted else f" {MARK}")


def machine(results: list[Result]) -> str:
    """The machine of each result."""
    places = dict.fromkeys(result["machine"] for result in reversed(results) if result.get("machine"))
    return "\n".join(f"- {place}" for place in places) or "Not recorded yet."


# What a turn says


def turns(result: Result) -> list[Turn]:
    """Each turn; of a result that did not keep them, the median alone."""
    return list(result.get("turns") or [result])


def rate(turn: Turn) -> float:
    """Events a second."""
    return float(turn["events"] / turn["seconds"])


def seconds(turn: Turn) -> float:
    return float(turn["seconds"])


def row_us(turn: Turn) -> float:
    """Microseconds a row."""
    return float(turn["seconds"] / turn["events"] * 1e6)


def peak_mb(turn: Turn) -> float:
    return float(turn["peak_mb"])


def client_us(turn: Turn) -> float | None:
    """Microseconds of a core that the client used for a row."""
    return turn["core_seconds"] / turn["events"] * 1e6 if turn.get("core_seconds") else None


def server_us(turn: Turn) -> float | None:
    """Microseconds of a core that PostgreSQL used for a row."""
    return turn["server_core_seconds"] / turn["events"] * 1e6 if "server_core_seconds" in turn else None


def wal_bytes(turn: Turn) -> float | None:
    """Bytes of write-ahead log for a row."""
    return turn["wal_bytes"] / turn["events"] if "wal_bytes" in turn else None


Value = Callable[[Turn], float | None]


def figure(result: Result | None, value: Value) -> Figure | None:
    """A value of each turn; None if it was not measured."""
    return _of([value(turn) for turn in turns(result)], commit(result)) if result else None


def compared(one: Result | None, other: Result | None, value: Value) -> Figure | None:
    """One over the other, turn by turn: turns of one number ran one after the other. None if their origins differ."""
    if not one or not other or origin(one) is None or origin(one) != origin(other):
        return None
    pairs = zip(map(value, turns(one)), map(value, turns(other)), strict=False)
    return _of([a / b if a is not None and b else None for a, b in pairs], commit(one))


def _of(values: Sequence[float | None], of_commit: str) -> Figure | None:
    found = [value for value in values if value is not None]
    if not found or len(found) < len(values):
        return None
    spread = (min(found), max(found)) if len(found) > 1 else (None, None)
    return Figure(statistics.median(found), *spread, of_commit)


# Results of a kind


def find(results: Iterable[Result], piece: str, **wanted: Any) -> Result | None:
    """The last result of this piece and these options."""
    wanted = {"workers": 1, "history": 0, "certifi": False} | wanted
    found = [r for r in results if r["piece"] == piece and all(r.get(name) == value for name, value in wanted.items())]
    return found[-1] if found else None


def at(results: list[Result], place: tuple[bool, float]) -> dict[str, Result | None]:
    """The results of one place, by piece; the push of the rates, not one of the growth."""
    tls, server_ms = place
    here = [r for r in results if "--server-ms" in r["command"]]
    return {piece: find(here, piece, tls=tls, server_ms=server_ms) for piece in NAMES}


def grown(results: list[Result]) -> list[Result]:
    """The results of the growth: of the roads, and of the other clients."""
    sending = {"push", *PEERS}
    sent = [r for r in results if r["piece"] in sending and r["workers"] == 1 and "--server-ms" not in r["command"]]
    return [*(r for r in results if r["piece"] == "extract"), *sent]


# Tables


def ratios(results: list[Result]) -> str:
    """How many times as fast."""
    lines = []
    for place in PLACES:
        here = at(results, place)
        push, against = here["push"], [here[piece] for piece in PEERS]
        lines.append(
            [
                where(place),
                *(_cell(compared(push, other, rate), "{:,.1f}", "×") for other in against),
                _cell(compared(here["loop"], push, client_us), "{:,.1f}", "×"),
                *(_cell(compared(here[piece], here["wrk"], rate), "{:.0%}") for piece in ("push", "transport")),
            ]
        )
    head = [
        "Where",
        *(f"push ÷ {name}" for name in ("`requests.post`", "16 threads", "drt", "aiohttp")),
        "push ÷ `requests.post`, per core",
        "push ÷ wrk",
        "transport ÷ wrk",
    ]
    return table(head, lines)


def rates(results: list[Result]) -> str:
    """Each line with its command."""
    measured = [(place, NAMES[piece], found) for place in PLACES for piece, found in at(results, place).items()]
    for piece in ("loop", "push"):
        of_certifi = find(results, piece, tls=True, server_ms=0.0, certifi=True)
        measured.append(((True, 0.0), f"{NAMES[piece]}, all authorities of certifi trusted", of_certifi))
    for place in PLACES:
        two = find(results, "push", tls=place[0], server_ms=place[1], workers=2)
        measured.append((place, "the push, 2 workers", two))
    lines = [(place, what, found) for place, what, found in measured if found]
    wanted = newest([r for r in results if any(r is found for _, _, found in lines)])
    return _with_mark(
        ["Where", "What", "Events a second", "Lowest to highest", "Client, µs of a core an event", "Commit", "Command"],
        [
            [
                where(place),
                what,
                number(figure(found, rate)),
                spread(figure(found, rate)),
                number(figure(found, client_us)),
                marked(found, wanted),
                code(found),
            ]
            for place, what, found in lines
        ],
    )


def costs(results: list[Result]) -> str:
    """What a row costs the client and PostgreSQL."""
    found = [r for r in results if r["piece"] in ("extract", "push") and figure(r, server_us) and not r["certifi"]]
    wanted = newest(found)
    return _with_mark(
        ["Road", "Rows", "Client, µs of a core a row", "PostgreSQL, µs of a core a row", "WAL, bytes a row", "Commit", "Command"],
        [
            [
                ROADS[r["piece"]],
                f"{r['events']:,}",
                *(_cell(figure(r, value), "{:,.1f}") for value in (client_us, server_us)),
                _cell(figure(r, wal_bytes), "{:,.0f}"),
                marked(r, wanted),
                code(r),
            ]
            for r in sorted(found, key=lambda r: (r["piece"], r["tls"], r["server_ms"], r["workers"], r["history"], r["events"]))
        ],
    )


def growth(results: list[Result]) -> str:
    """Time a row and peak memory, by rows and by history."""
    found = [r for r in results if r["piece"] in ("attribution", "lookup") or r in grown(results)]
    wanted = newest(found)
    order = [*ROADS, *PEERS]
    return _with_mark(
        [
            "Road", "Rows", "Finished rows in the ledger", "Seconds", "µs a row", "Lowest to highest",
            "Peak memory, MB over the imports", "Commit", "Command",
        ],
        [
            [
                ROADS.get(r["piece"]) or NAMES[r["piece"]],
                f"{r['events']:,}",
                f"{r['history']:,}" if r["history"] else "–",
                _cell(figure(r, seconds), "{:,.1f}", with_spread=False),
                number(figure(r, row_us)),
                spread(figure(r, row_us)),
                _cell(figure(r, peak_mb), "{:,.0f}", with_spread=False),
                marked(r, wanted),
                code(r),
            ]
            for r in sorted(found, key=lambda r: (order.index(r["piece"]), r["history"], r["events"]))
        ],
    )  # fmt: skip


def page(results: list[Result]) -> str:
    """The requests of the page, by ledger, in milliseconds."""
    measured = find(results, "page", events=1_000_000)
    if measured is None:
        return "Not measured yet."
    requests: dict[str, list[dict[str, Any]]] = {}
    for line in measured["lines"]:
        requests.setdefault(line["what"], []).append(line)
    ledgers = [f"{line['ledger']}, ms" for line in next(iter(requests.values()), [])]
    lines = []
    for what, found in requests.items():
        scanned = sorted({table for line in found for table in line["scanned"]})
        lines.append([what, *(f"{line['milliseconds']:,.1f}" for line in found), ", ".join(scanned) or "–"])
    return f"Commit: {commit(measured)}.\n\n" + table(["Request", *ledgers, "Sequential scan of"], lines)


def goals(results: list[Result]) -> str:
    """Each goal, what came out, and whether that is enough."""
    tls, at_50 = at(results, (True, 0.0)), at(results, (True, 50.0))
    extracted = {rows: find(results, "extract", events=rows) for rows in (100_000, 1_000_000, 10_000_000)}
    judged = {rows: find(results, "attribution", events=rows) for rows in (100_000, 1_000_000)}
    pushed = find(grown(results), "push", events=100_000)
    beside_history = {"events": 100_000, "history": 10_000_000}
    measured_page = find(results, "page", events=1_000_000)
    requests = measured_page["lines"] if measured_page else []
    of_ledger = {
        ledger: max((line["milliseconds"] for line in requests if line["ledger"] == ledger), default=None) for ledger in LEDGERS
    }
    of_page = commit(measured_page) if measured_page else ""
    lines = [
        at_least("transport alone, TLS, 0 ms: at least 90 % of wrk", compared(tls["transport"], tls["wrk"], rate), 0.9, "{:.0%}"),
        at_least("push, TLS, 0 ms: at least 60 % of wrk", compared(tls["push"], tls["wrk"], rate), 0.6, "{:.0%}"),
        at_most("… at most 35 µs of a core an event in the client", figure(tls["push"], client_us), 35, "{:.1f} µs"),
        at_most("… at most 20 µs of a core an event in PostgreSQL", figure(tls["push"], server_us), 20, "{:.1f} µs"),
        at_least(
            "push, TLS, 50 ms, 256 at once: at least 95 % of wrk", compared(at_50["push"], at_50["wrk"], rate), 0.95, "{:.0%}"
        ),
        at_most("1,000,000 rows, warehouse → ledger: at most 12 s", figure(extracted[1_000_000], seconds), 12, "{:.1f} s"),
        at_most("… and at most 100 MB over the imports", figure(extracted[1_000_000], peak_mb), 100, "{:.0f} MB"),
        at_most(
            "… the same memory with 10,000,000: at most 1.1 × as much",
            compared(extracted[10_000_000], extracted[1_000_000], peak_mb),
            1.1,
            "{:.2f} ×",
        ),
        at_most(
            "… and a row of 10,000,000 takes at most 1.2 × the time",
            compared(extracted[10_000_000], extracted[1_000_000], row_us),
            1.2,
            "{:.2f} ×",
        ),
        at_most(
            "1,000,000 conversions judged against 10,000,000 visits: at most 15 s",
            figure(judged[1_000_000], seconds),
            15,
            "{:.1f} s",
        ),
        at_most(
            "… with at most 1.1 × the memory of 100,000", compared(judged[1_000_000], judged[100_000], peak_mb), 1.1, "{:.2f} ×"
        ),
        *(
            at_most(
                f"10,000,000 finished rows in the ledger: a row {does} at most 1.05 × the time",
                compared(full, empty, row_us),
                1.05,
                "{:.2f} ×",
            )
            for does, full, empty in (
                ("takes extraction", find(results, "extract", **beside_history), extracted[100_000]),
                ("takes the push", find(grown(results), "push", **beside_history), pushed),
            )
        ),
        *(
            at_most(
                f"the page, 1,000,000 conversions ({ledger}): each request's data in at most 100 ms",
                None if slowest is None else Figure(slowest, None, None, of_page),
                100,
                "{:.0f} ms",
            )
            for ledger, slowest in of_ledger.items()
        ),
        at_most(
            "… and no sequential scan of a table that grows",
            Figure(sum(bool(line["scanned"]) for line in requests), None, None, of_page) if requests else None,
            0,
            "{:.0f}",
        ),
        at_most(
            "`webflow-conversions check` on the sample configuration: at most 3 s",
            figure(find(results, "check"), seconds),
            3,
            "{:.1f} s",
        ),
        at_most("`webflow-conversions --help`: at most 0.3 s", figure(find(results, "help"), seconds), 0.3, "{:.2f} s"),
        at_most("the Dag file, over importing Airflow: at most 0.3 s", figure(find(results, "dag"), seconds), 0.3, "{:.2f} s"),
        at_most("a run with nothing to do: at most 12 s", figure(find(results, "idle"), seconds), 12, "{:.1f} s"),
        *(
            at_most(
                f"1,000,000 local times of {zones} zones to UTC: at most 0.5 s",
                figure(find(results, "local-times", events=1_000_000, zones=zones), seconds),
                0.5,
                "{:.2f} s",
            )
            for zones in (8, 400)
        ),
    ]  # fmt: skip
    return table(["Goal", "Measured", "Lowest to highest", "Reached", "Commit"], lines)


def at_least(text: str, found: Figure | None, limit: float, form: str) -> list[str]:
    return _goal(text, found, lambda value: value >= limit, form)


def at_most(text: str, found: Figure | None, limit: float, form: str) -> list[str]:
    return _goal(text, found, lambda value: value <= limit, form)


def _goal(text: str, found: Figure | None, is_reached: Callable[[float], bool], form: str) -> list[str]:
    if found is None:
        return [text, "–", "–", "not measured", "–"]
    return [text, form.format(found.value), spread(found, form), "yes" if is_reached(found.value) else "**no**", found.commit]


# Words and numbers


def where(place: tuple[bool, float]) -> str:
    tls, server_ms = place
    return f"{'TLS' if tls else 'HTTP'}, server takes {server_ms:.0f} ms"


def spread(found: Figure | None, form: str = "{:,.0f}") -> str:
    """Lowest to highest; a dash after a single turn."""
    if found is None or found.low is None or found.high is None:
        return "–"
    return f"{form.format(found.low)} to {form.format(found.high)}"


def number(found: Figure | None) -> str:
    return "–" if found is None else f"{found.value:,.0f}"


def code(result: Result) -> str:
    return f"`{result['command']}`"


def _cell(found: Figure | None, form: str, unit: str = "", *, with_spread: bool = True) -> str:
    """A figure, with its lowest and its highest in brackets."""
    if found is None:
        return "–"
    text = f"{form.format(found.value)}{f' {unit}' if unit else ''}"
    return f"{text} ({spread(found, form)})" if with_spread and found.low is not None else text


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _with_mark(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table, and what the mark means where a row bears it."""
    text = table(head, lines) if lines else "Not measured yet."
    if any(cell.endswith(f" {MARK}") for line in lines for cell in line):
        text += (
            f"\n\n{MARK} Measured with other code or on another machine than the table's newest row; compared with none of them."
        )
    return text


# Plots, by hand: a bar chart and lines need no library


def rates_plot(results: list[Result]) -> str:
    """Events a second, on a logarithmic scale, by where and by what; of each place, what has one origin."""
    left, top, height, bar = 60, 40, 260, 18
    width = left + len(PLACES) * (len(NAMES) * bar + 30) + 20
    most = 100_000.0
    parts = [_text(left, 20, "Events a second (logarithmic); the line is lowest to highest", bold=True)]
    for power in range(6):
        y = top + height * (1 - power / math.log10(most))
        parts.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(left - 6, y + 4, f"{10**power:,}", anchor="end"))

    def level(value: float) -> float:
        return top + height * (1 - math.log10(max(value, 1)) / math.log10(most))

    for group, place in enumerate(PLACES):
        x = left + 15 + group * (len(NAMES) * bar + 30)
        here = [result for result in results if any(result is found for found in at(results, place).values())]
        shown = {result["piece"]: figure(result, rate) for result in of_one_origin(here)}
        for index, piece in enumerate(NAMES):
            found = shown.get(piece)
            if found is None:
                continue
            y, middle = level(found.value), x + index * bar + (bar - 3) / 2
            title = f"{NAMES[piece]}: {found.value:,.0f} ({spread(found)})"
            parts.append(
                f'<rect x="{x + index * bar}" y="{y:.1f}" width="{bar - 3}" height="{top + height - y:.1f}"'
                f' fill="{COLOURS[piece]}"><title>{escape(title)}</title></rect>'
            )
            if found.low is not None and found.high is not None:
                ends = f'y1="{level(found.low):.1f}" y2="{level(found.high):.1f}"'
                parts.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" {ends} stroke="#d00" stroke-width="2"/>')
        tls, server_ms = place
        parts.append(_text(x, top + height + 16, f"{'TLS' if tls else 'HTTP'}, {server_ms:.0f} ms"))
    for index, (piece, name) in enumerate(NAMES.items()):
        x, y = left + index % 4 * 165, top + height + 30 + index // 4 * 16
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{COLOURS[piece]}"/>')
        parts.append(_text(x + 14, y + 9, name, size=10))
    return _svg(width, top + height + 70, parts)


LINES = {"extract": ROADS["extract"], "push": ROADS["push"], **{piece: NAMES[piece] for piece in PEERS}}
"""The lines of the plot of the growth."""


def growth_plot(results: list[Result]) -> str:
    """Microseconds a row and peak memory over the number of rows, all logarithmic; what has one origin."""
    found = of_one_origin([r for r in results if r in grown(results) and not r["history"]])
    parts: list[str] = []
    panels = (("µs a row", row_us, 1, 5), ("Peak memory, MB over the imports", peak_mb, 0, 3))
    for panel, (title, value, lowest, highest) in enumerate(panels):
        left, top, width, height = 70 + panel * 370, 40, 260, 200
        parts.append(_text(left, 20, title, bold=True))

        def level(amount: float, top: int = top, height: int = height, lowest: int = lowest, highest: int = highest) -> float:
            power = min(max(math.log10(max(amount, 1)), lowest), highest)
            return top + height * (1 - (power - lowest) / (highest - lowest))

        for power in range(lowest, highest + 1):
            y = level(10**power)
            parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            parts.append(_text(left - 6, y + 4, f"{10**power:,}", anchor="end"))
        for power in range(4, 8):
            parts.append(_text(left + width * (power - 4) / 3, top + height + 16, f"{10**power:,}", anchor="middle"))
        for piece, name in LINES.items():
            points = [
                (left + width * (math.log10(r["events"]) - 4) / 3, measured, r["events"])
                for r in sorted(found, key=lambda r: r["events"])
                if r["piece"] == piece and r["events"] >= 10_000 and (measured := figure(r, value))
            ]
            path = " ".join(f"{x:.1f},{level(measured.value):.1f}" for x, measured, _ in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[piece]}" stroke-width="2"/>')
            for x, measured, events in points:
                said = f"{name}, {events:,} rows: {measured.value:,.0f} ({spread(measured)})"
                y = level(measured.value)
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[piece]}"><title>{escape(said)}</title></circle>'
                )
    parts.append(_text(60, 275, "rows, logarithmic:", size=10))
    for index, (piece, name) in enumerate(LINES.items()):
        parts.append(_text(160 + index % 3 * 190, 275 + index // 3 * 15, f"● {name}", size=10, colour=COLOURS[piece]))
    return _svg(760, 300, parts)


def _text(
    x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", bold: bool = False, colour: str = "#222"
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(text)}</text>'
    )


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])
