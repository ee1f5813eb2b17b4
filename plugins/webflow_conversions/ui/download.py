"""The download: a file for spreadsheets, no cell of which can become a formula, sent to whoever reads it and no longer."""

import csv
import re
from asyncio import wrap_future
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from io import StringIO
from threading import BoundedSemaphore
from typing import Any, NamedTuple

from anyio import fail_after, move_on_after
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from webflow_conversions.delivery.protocols import Clock
from webflow_conversions.errors import ConversionsError, first_line
from webflow_conversions.ledger.actions import DOWNLOAD, Actions
from webflow_conversions.ledger.search import BATCH_ROWS, Conversions
from webflow_conversions.ledger.selection import Filter, Place
from webflow_conversions.ui.conversion import ConversionView, conversion_view
from webflow_conversions.ui.ledger import acting, reading
from webflow_conversions.ui.threads import Busy, threads

MOST_DOWNLOADS = 2
"""Downloads at the same time of one API server process."""
STALL_SECONDS = 30.0
"""Longest wait for a reader to take a piece."""
LONGEST_SECONDS = 600.0
"""Longest time that a download takes; at 1 MB a second, that is 1,000,000 conversions."""
BREAK_SECONDS = 1.0
"""Longest wait for middleware to hear that a download broke off."""
PIECE = 64 * 1024
"""Bytes that are handed on at once: Airflow compresses them in its event loop."""

_free = BoundedSemaphore(MOST_DOWNLOADS)

COLUMNS = (
    "source",
    "conversion_id",
    "event_name",
    "occurred_at",
    "value",
    "state",
    "reason",
    "sentence",
    "meaning",
    "detail",
    "attempts",
    "attempts_in_doubt",
    "http_status",
    "trouble",
    "first_seen_at",
    "sent_at",
    "settled_at",
    "attribution",
    "attribution_reason",
    "attribution_meaning",
    "attribution_judged_at",
    "minutes_from_activity",
    "credited_under",
    "visit_id",
    "visit_started_at",
    "visit_last_active_at",
    "visit_first_viewed_at",
    "identity_key",
    "user_domain",
    "user_id",
    "action_id",
    "destination",
    "run_id",
)

_FORMULA = re.compile(r"""(?:^|(?<=[;\t|\r\n]))(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])""")
"""Where a spreadsheet finds a formula, or looks for one behind blanks and quotes (OWASP, CSV Injection): at the start of a cell,
and of what is a cell where semicolons or tabs part them, as in much of Europe. The signs have full-width forms."""


class BrokenOff(BaseException):
    """A download ended before its end; no ``Exception``, since middleware on the way would make a proper end of it."""


class _Page(NamedTuple):
    """Some lines of a file, how many they are, and where the next ones begin."""

    text: str
    rows: int
    next: Place | None


class Download(StreamingResponse):
    """A selection as a file, page by page; no session and no thread is held while the reader reads.

    The action log has it from its begin, and its size at its end, also if the reader goes away.
    """

    def __init__(self, selection: Filter, person: str) -> None:
        super().__init__((), media_type="text/csv; charset=utf-8")
        self.headers["content-disposition"] = f'attachment; filename="conversions-{Clock().now():%Y%m%d-%H%M%S}.csv"'
        self._selection = selection
        self._person = person
        self._sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, unless the reader goes away.

        :raises Unavailable: before anything is sent, if the ledger is away; ``Busy`` if enough others download.
        :raises BrokenOff: later; also if the reader takes nothing for ``STALL_SECONDS``, or it lasts ``LONGEST_SECONDS``.
        """

        async def send_in_time(message: Message) -> None:
            with fail_after(STALL_SECONDS):
                await send(message)

        if not _free.acquire(blocking=False):
            raise Busy("Others are downloading at this moment: try again in some minutes.")
        try:
            number = await threads.run(self._begin)
            try:
                self.body_iterator = self._pieces(await threads.run(partial(self._page, None)))
                try:
                    with fail_after(LONGEST_SECONDS):
                        await super().__call__(scope, receive, send_in_time)
                except Exception as error:
                    await self._break_off(send)
                    raise BrokenOff(f"A download of {self._person} broke off: {first_line(error)}.") from error
            finally:
                ended = threads.add(partial(self._end, number))
            await wrap_future(ended)
        finally:
            _free.release()

    async def _break_off(self, send: Send) -> None:
        """Make the server close the connection: no browser may take a part for the whole.

        Starlette's ``BaseHTTPMiddleware``, which Airflow uses, makes a proper end of what an error ends. If it waits for the next
        piece, a second start is an error of its own; if it waits for the reader, ``BrokenOff`` cancels it.
        """
        with move_on_after(BREAK_SECONDS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _pieces(self, page: _Page) -> AsyncIterator[bytes]:
        """Pieces of the file; nothing is left to do where nobody asks for the next one."""
        yield csv_head().encode()
        while True:
            text = page.text.encode()
            for start in range(0, len(text), PIECE):
                yield text[start : start + PIECE]
            self._sent += page.rows
            if page.next is None:
                return
            page = await wrap_future(threads.add(partial(self._page, page.next)))  # what has begun waits for a thread

    def _begin(self) -> int:
        with acting() as session:
            return Actions(session).begin(DOWNLOAD, self._selection, self._person)

    def _page(self, after: Place | None) -> _Page:
        now = Clock().now()
        with reading() as session:
            conversions = Conversions(session)
            page = conversions.page(self._selection, BATCH_ROWS, after)
            is_rehearsing = conversions.is_rehearsing()
        views = [conversion_view(one, now, with_user_ids=True, is_rehearsing=is_rehearsing) for one in page.conversions]
        return _Page(text=csv_lines(views), rows=len(views), next=page.next)

    def _end(self, number: int) -> None:
        with suppress(ConversionsError), acting() as session:
            Actions(session).count(number, self._sent)


def csv_head() -> str:
    """The first line, with the mark by which spreadsheets know UTF-8."""
    return "\ufeff" + _lines([COLUMNS])


def csv_lines(conversions: Iterable[ConversionView]) -> str:
    """The lines of some conversions."""
    return _lines([_cell(getattr(conversion, column)) for column in COLUMNS] for conversion in conversions)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case int():
            return str(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        case Decimal():
            return f"{value:f}"
        case list():
            return " ".join(value)
        case _:
            return _FORMULA.sub("'", str(value))
