"""The server: it owns the connections, and routes each request to the endpoint, the Data API or the pages."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from demo.simulator.account import Account
from demo.simulator.clock import Clock
from demo.simulator.connection import Connection, Receiver
from demo.simulator.data_api import DataApi, is_data_api
from demo.simulator.endpoint import Endpoint
from demo.simulator.faults import Faults
from demo.simulator.pages import Pages, is_page
from demo.simulator.request import Request
from demo.simulator.site_pages import SitePages
from demo.simulator.store import EventReader, EventStore


class Simulator(Receiver):
    """The simulator of one account, with one database file.

    :param clock_offset_seconds: seconds that its clock is ahead of the machine's.
    :raises sqlite3.Error: the file cannot be used.
    """

    def __init__(
        self,
        *,
        database: Path,
        token: str,
        customer_id: str,
        data_token: str,
        faults: Faults,
        clock_offset_seconds: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._store = EventStore(database)
        self._clock = Clock(clock_offset_seconds)
        self._endpoint = Endpoint(
            store=self._store, clock=self._clock, faults=faults, token=token, customer_id=customer_id, loop=loop
        )
        reader = EventReader(database)
        account = Account(database.with_name(f"{database.name}.site"), reader)
        self._account_thread = ThreadPoolExecutor(1)
        site = SitePages(account, self._clock, self._account_thread, loop)
        self._pages = Pages(self._endpoint, site, reader, self._clock, loop)
        self._data_api = DataApi(account, data_token, self._clock, self._account_thread, loop)
        self._loop = loop
        self._connections: set[Connection] = set()

    def connection(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self, self._loop)

    async def close(self) -> None:
        """Commit and answer the waiting events, then close every connection and the database."""
        self._endpoint.commit()
        for connection in list(self._connections):
            connection.close()
        for _ in range(100):
            if not self._connections:
                break
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        self._pages.close()
        self._account_thread.shutdown()
        self._store.close()

    # Callbacks of connections

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def date(self) -> bytes:
        return self._clock.date()

    def receive(self, connection: Connection, request: Request) -> None:
        path = request.path
        if is_page(path):
            self._pages.receive(connection, request, path)
        elif is_data_api(path):
            self._data_api.receive(connection, request, path)
        else:
            self._endpoint.receive(connection, request, path)

    def ended(self, request: Request, status: int | None) -> None:
        if not is_page(request.path) and not is_data_api(request.path):
            self._endpoint.ended(request, status)
