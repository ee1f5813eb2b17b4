"""What came to the simulator since its process began, and the page that shows it."""

import html
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

SHOWN = 100
"""So many of the action IDs that came again while a request for them was open are named."""

SECONDS_KEPT = 600
"""For so many of the seconds in which requests came, their number is known."""


class Figures:
    """Counts of requests; those to the simulator's own pages are none.

    ``twice_at_once`` are action IDs that came while another request for them was open: a client that waits for an answer,
    or for its end, before it tries again causes none.

    :param still_open: requests that were received before and are not over.
    """

    def __init__(self, still_open: int = 0) -> None:
        self.open = still_open
        self.malformed = 0
        self.twice_at_once: list[str] = []
        self._requests = 0
        self._most_at_once = still_open
        self._elsewhere = 0
        self._elsewhere_with_authorization = 0
        self._by_status: Counter[int | None] = Counter()
        self._seconds: deque[list[int]] = deque(maxlen=SECONDS_KEPT)

    def begin(self, second: int) -> None:
        """A request was received, in this second of the machine's clock."""
        self._requests += 1
        self.open += 1
        self._most_at_once = max(self._most_at_once, self.open)
        if self._seconds and self._seconds[-1][0] >= second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])

    def end(self, status: int | None) -> None:
        """It is over; None if no whole answer went out."""
        self.open -= 1
        self._by_status[status] += 1

    def strayed(self, with_authorization: bool) -> None:
        """It went where a redirect pointed."""
        self._elsewhere += 1
        self._elsewhere_with_authorization += with_authorization

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self._requests,
            "requests_by_status": {"none" if status is None else str(status): n for status, n in self._by_status.items()},
            "requests_per_second": [{"second": second, "requests": n} for second, n in self._seconds],
            "most_at_once": self._most_at_once,
            "open": self.open,
            "twice_at_once": {"count": len(self.twice_at_once), "first": self.twice_at_once[:SHOWN]},
            "malformed": self.malformed,
            "elsewhere": {"requests": self._elsewhere, "with_authorization": self._elsewhere_with_authorization},
        }


def as_page(summary: Mapping[str, Any], faults: Mapping[str, Any]) -> str:
    """The summary and the faults in force as a page for people."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Webflow simulator</title>'
        "<style>body{font-family:sans-serif;margin:2rem}th{text-align:left;vertical-align:top;padding-right:2rem}</style>"
        f"</head><body><h1>Webflow simulator</h1>{_shown(summary)}<h2>Faults</h2>{_shown(faults)}</body></html>"
    )


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        rows = (
            f"<tr><th>{html.escape(str(name)).replace('_', ' ')}</th><td>{_shown(of)}</td></tr>" for name, of in value.items()
        )
        return f"<table>{''.join(rows)}</table>"
    if isinstance(value, list) and value:
        return "<br>".join(_shown(item) for item in value[-20:])
    return html.escape(str(value)) if value or value == 0 else "–"
