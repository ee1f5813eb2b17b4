"""Keeps results, and writes them into docs/performance.md: ratios, figures with their commands, plots, goals."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.page import LEDGERS

Result = dict[str, Any]

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
PLOTS = DOCUMENT.parent / "images"

PLACES = [(tls, server_ms) for tls in (True, False) for server_ms in (0.0, 50.0, 200.0)]
NAMES = {
    "loop": "requests.post an event",
    "threads": "requests.Session, 16 threads",
    "push": "the push, ledger to ledger",
    "transport": "its transport alone",
    "wrk": "wrk",
}
ROADS = {
    "attribution": "conversions and ten visits each → verdicts",
    "extract": "warehouse → ledger",
    "push": "ledger → socket → ledger",
}
COLOURS = {"loop": "#b0b0b0", "threads": "#808080", "push": "#146ef5", "transport": "#7fb0ff", "wrk": "#404040"}


def keep(result: Result) -> None:
    """Keep a result in place of an older one of the same command."""
    kept = [other for other in load() if other["command"] != result["command"]]
    RESULTS.write_text(json.dumps([*kept, result], indent=1) + "\n", encoding="utf-8")


def load() -> list[Result]:
    """The results that were kept."""
    return list(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else []


def write() -> None:
    """Write the tables between their marks in the document, and the plots beside it."""
    results = load()
    parts = {"ratios": ratios, "rates": rates, "growth": growth, "page": page, "goals": goals}
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, part in parts.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = mark.sub(lambda found, part=part: found[1] + part(results) + "\n" + found[2], text)
    DOCUMENT.write_text(text, encoding="utf-8")
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / "performance-rates.svg").write_text(rates_plot(results), encoding="utf-8")
    (PLOTS / "performance-growth.svg").write_text(growth_plot(results), encoding="utf-8")


def find(results: Iterable[Result], piece: str, **wanted: Any) -> Result | None:
    """The last result of this piece and these options."""
    wanted = {"workers": 1, "history": 0, "certifi": False} | wanted
    found = [r for r in results if r["piece"] == piece and all(r[name] == value for name, value in wanted.items())]
    return found[-1] if found else None


def rate(results: Iterable[Result], piece: str, **wanted: Any) -> float | None:
    """Its events a second."""
    found = find(results, piece, **wanted)
    return found["rate"] if found else None


def per_core(result: Result | None) -> float | None:
    """Events a second of a core's time of the client."""
    return result["events"] / result["core_seconds"] if result and result.get("core_seconds") else None


def at(results: list[Result], place: tuple[bool, float]) -> dict[str, Result | None]:
    """The results of one place, by piece; the push of the rates, not one of the growth."""
    tls, server_ms = place
    here = [r for r in results if "--server-ms" in r["command"]]
    return {piece: find(here, piece, tls=tls, server_ms=server_ms) for piece in NAMES}


def ratios(results: list[Result]) -> str:
    """How many times as fast."""
    lines = []
    for place in PLACES:
        here = at(results, place)
        speed = {piece: found["rate"] if found else None for piece, found in here.items()}
        cores = {piece: per_core(found) for piece, found in here.items()}
        lines.append(
            [
                where(place),
                times(speed["push"], speed["loop"]),
                times(speed["push"], speed["threads"]),
                times(cores["push"], cores["loop"]),
                percent(speed["push"], speed["wrk"]),
                percent(speed["transport"], speed["wrk"]),
            ]
        )
    head = ["Where", "push ÷ `requests.post`", "push ÷ 16 threads", "the same per core", "push ÷ wrk", "transport ÷ wrk"]
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
    lines = [
        [where(place), what, number(found["rate"]), number(per_core(found)), code(found)]
        for place, what, found in measured
        if found
    ]
    return table(["Where", "What", "Events a second", "per second of a core", "Command"], lines)


def growth(results: list[Result]) -> str:
    """Time a row and peak memory, by rows and by history."""
    judged = [r for r in results if r["piece"] == "attribution"]
    lines = [
        [
            ROADS[found["piece"]],
            f"{found['events']:,}",
            f"{found['history']:,}" if found["history"] else "–",
            f"{found['seconds']:,.1f}",
            f"{found['seconds'] / found['events'] * 1e6:,.0f}",
            f"{found['peak_mb']:,.0f}",
            code(found),
        ]
        for found in sorted([*grown(results), *judged], key=lambda r: (r["piece"], r["history"], r["events"]))
    ]
    head = ["Road", "Rows", "Finished rows in the ledger", "Seconds", "µs a row", "Peak memory, MB over the imports", "Command"]
    return table(head, lines)


def grown(results: list[Result]) -> list[Result]:
    """The results of the growth."""
    pushes = [r for r in results if r["piece"] == "push" and r["workers"] == 1 and "--server-ms" not in r["command"]]
    return [*(r for r in results if r["piece"] == "extract"), *pushes]


def page(results: list[Result]) -> str:
    """The requests of the page, by ledger, in milliseconds."""
    requests: dict[str, list[dict[str, Any]]] = {}
    for line in page_lines(results):
        requests.setdefault(line["what"], []).append(line)
    ledgers = [f"{line['ledger']}, ms" for line in next(iter(requests.values()), [])]
    lines = []
    for what, found in requests.items():
        scanned = sorted({table for line in found for table in line["scanned"]})
        lines.append([what, *(f"{line['milliseconds']:,.1f}" for line in found), ", ".join(scanned) or "–"])
    return table(["Request", *ledgers, "Sequential scan of"], lines) if lines else "Not measured yet."


def page_lines(results: Iterable[Result]) -> list[dict[str, Any]]:
    """What came of each request of the page with 1,000,000 conversions; none if it was not measured."""
    found = find(results, "page", events=1_000_000)
    return list(found["lines"]) if found else []


def goals(results: list[Result]) -> str:
    """Each goal, what came out, and whether that is enough."""
    tls, at_50 = at(results, (True, 0.0)), at(results, (True, 50.0))
    speed = {piece: found["rate"] if found else None for piece, found in tls.items()}
    two, two_at_50 = (rate(results, "push", tls=True, server_ms=server_ms, workers=2) for server_ms in (0.0, 50.0))
    of_certifi = [rate(results, piece, tls=True, server_ms=0.0, certifi=True) for piece in ("push", "loop")]
    million = find(results, "extract", events=1_000_000)
    memory = [find(results, "extract", events=rows) for rows in (100_000, 1_000_000, 10_000_000)]
    judged = [find(results, "attribution", events=rows) for rows in (100_000, 1_000_000)]
    empty = [find(grown(results), "push", events=100_000), find(results, "extract", events=100_000)]
    full = [
        find(grown(results), "push", events=100_000, history=10_000_000),
        find(results, "extract", events=100_000, history=10_000_000),
    ]
    requests = page_lines(results)
    slower = [a["seconds"] / b["seconds"] - 1 for a, b in zip(full, empty, strict=True) if a and b]
    lines = [
        goal(
            "transport alone, TLS, 0 ms: at least 50 % of wrk",
            ratio(speed["transport"], speed["wrk"]),
            lambda x: x >= 0.5,
            "{:.0%}",
        ),
        goal(
            "push, TLS, 0 ms: at least 50 × the plain `requests.post` loop",
            ratio(speed["push"], speed["loop"]),
            lambda x: x >= 50,
            "{:.0f} ×",
        ),
        goal("… with all authorities of certifi trusted, as in production", ratio(*of_certifi), lambda x: x >= 50, "{:.0f} ×"),
        goal("push, TLS, 0 ms: at least 25 % of wrk", ratio(speed["push"], speed["wrk"]), lambda x: x >= 0.25, "{:.0%}"),
        goal(
            "push, 50 ms, 256 at once: at least 90 % of 256 ÷ 50 ms",
            ratio(at_50["push"]["rate"] if at_50["push"] else None, 256 / 0.05),
            lambda x: x >= 0.9,
            "{:.0%}",
        ),
        goal(
            "two workers on two cores: no slower than one, no event twice",
            ratio(two, speed["push"]),
            lambda x: x >= 1,
            "{:.2f} ×",
        ),
        goal(
            "… where the server takes 50 ms",
            ratio(two_at_50, at_50["push"]["rate"] if at_50["push"] else None),
            lambda x: x >= 1,
            "{:.2f} ×",
        ),
        goal("1,000,000 rows, warehouse → ledger: at most 25 s", million and million["seconds"], lambda x: x <= 25, "{:.0f} s"),
        goal("… and at most 250 MB over the imports", million and million["peak_mb"], lambda x: x <= 250, "{:.0f} MB"),
        goal(
            "… and the same memory at 100,000 and at 10,000,000",
            max(m["peak_mb"] for m in memory if m) - min(m["peak_mb"] for m in memory if m) if all(memory) else None,
            lambda x: x <= 50,
            "{:.0f} MB apart",
        ),
        goal(
            "10,000,000 finished rows in the ledger: a row costs at most 10 % more",
            max(slower) if len(slower) == 2 else None,
            lambda x: x <= 0.1,
            "{:+.0%}",
        ),
        goal(
            "1,000,000 conversions judged against 10,000,000 visits: at most 15 s",
            judged[1] and judged[1]["seconds"],
            lambda x: x <= 15,
            "{:.0f} s",
        ),
        goal(
            "… and the same memory as at 100,000",
            abs(judged[1]["peak_mb"] - judged[0]["peak_mb"]) if judged[0] and judged[1] else None,
            lambda x: x <= 50,
            "{:.0f} MB apart",
        ),
        *(
            goal(
                f"the page, 1,000,000 conversions ({ledger}): each request's data in at most 100 ms",
                max((line["milliseconds"] for line in requests if line["ledger"] == ledger), default=None),
                lambda x: x <= 100,
                "{:.0f} ms",
            )
            for ledger in LEDGERS
        ),
        goal(
            "… and no sequential scan of a table that grows",
            sum(bool(line["scanned"]) for line in requests) if requests else None,
            lambda x: x == 0,
            "{:.0f}",
        ),
    ]
    return table(["Goal", "Measured", "Reached"], lines)


def goal(text: str, value: float | None, is_reached: Callable[[float], bool], form: str) -> list[str]:
    if value is None:
        return [text, "–", "not measured"]
    return [text, form.format(value), "yes" if is_reached(value) else "**no**"]


# Words and numbers


def where(place: tuple[bool, float]) -> str:
    tls, server_ms = place
    return f"{'TLS' if tls else 'HTTP'}, server takes {server_ms:.0f} ms"


def ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None


def times(one: float | None, other: float | None) -> str:
    return f"{one / other:,.0f} ×" if one and other else "–"


def percent(one: float | None, other: float | None) -> str:
    return f"{one / other:.0%}" if one and other else "–"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def code(result: Result) -> str:
    return f"`{result['command']}`"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# Plots, by hand: a bar chart and two lines need no library


def rates_plot(results: list[Result]) -> str:
    """Events a second, on a logarithmic scale, by where and by what."""
    left, top, height, bar = 60, 40, 260, 18
    width = left + len(PLACES) * (len(NAMES) * bar + 30) + 20
    most = 100_000.0
    parts = [_text(left, 20, "Events a second (logarithmic)", bold=True)]
    for power in range(6):
        y = top + height * (1 - power / math.log10(most))
        parts.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(left - 6, y + 4, f"{10**power:,}", anchor="end"))
    for group, place in enumerate(PLACES):
        x = left + 15 + group * (len(NAMES) * bar + 30)
        for index, (piece, found) in enumerate(at(results, place).items()):
            if found:
                length = height * math.log10(max(found["rate"], 1)) / math.log10(most)
                parts.append(
                    f'<rect x="{x + index * bar}" y="{top + height - length:.1f}" width="{bar - 3}" height="{length:.1f}"'
                    f' fill="{COLOURS[piece]}"><title>{escape(NAMES[piece])}: {found["rate"]:,.0f}</title></rect>'
                )
        tls, server_ms = place
        parts.append(_text(x, top + height + 16, f"{'TLS' if tls else 'HTTP'}, {server_ms:.0f} ms"))
    for index, (piece, name) in enumerate(NAMES.items()):
        x = left + index * 175
        parts.append(f'<rect x="{x}" y="{top + height + 30}" width="10" height="10" fill="{COLOURS[piece]}"/>')
        parts.append(_text(x + 14, top + height + 39, name, size=10))
    return _svg(width, top + height + 55, parts)


def growth_plot(results: list[Result]) -> str:
    """Microseconds a row and peak memory over the number of rows."""
    found = [r for r in grown(results) if not r["history"]]
    parts: list[str] = []
    for panel, (title, value) in enumerate(
        (("µs a row", lambda r: r["seconds"] / r["events"] * 1e6), ("Peak memory, MB over the imports", lambda r: r["peak_mb"]))
    ):
        left, top, width, height = 60 + panel * 360, 40, 260, 200
        most = max([value(r) for r in found], default=1) * 1.15 or 1
        parts.append(_text(left, 20, title, bold=True))
        for share in (0, 0.5, 1):
            y = top + height * (1 - share)
            parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#ddd"/>')
            parts.append(_text(left - 6, y + 4, f"{most * share:,.0f}", anchor="end"))
        for power in range(4, 8):
            parts.append(_text(left + width * (power - 4) / 3, top + height + 16, f"{10**power:,}", anchor="middle"))
        for piece, colour in (("extract", "#404040"), ("push", "#146ef5")):
            points = [
                (left + width * (math.log10(r["events"]) - 4) / 3, top + height * (1 - value(r) / most))
                for r in sorted(found, key=lambda r: r["events"])
                if r["piece"] == piece
            ]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    parts.append(_text(60, 275, "rows (logarithmic);", size=10))
    parts.append(_text(160, 275, "● warehouse → ledger", size=10, colour="#404040"))
    parts.append(_text(290, 275, "● ledger → socket → ledger", size=10, colour="#146ef5"))
    return _svg(760, 290, parts)


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
