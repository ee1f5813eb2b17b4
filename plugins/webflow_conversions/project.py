"""A configuration file and the Airflow connections that it names, as the queries of a run.

Tasks and command alike build what they work with here. What reads rows needs pandas, and is imported where it is built: a push,
which is built here, too, does without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from webflow_conversions.configuration import AttributionSettings, Configuration, ConfigurationFile, InDoubt, Source, digest
from webflow_conversions.delivery.push import Push
from webflow_conversions.delivery.settings import PushSettings
from webflow_conversions.hooks.connections import warehouse
from webflow_conversions.hooks.webflow import WebflowHook
from webflow_conversions.hooks.webflow_data import WebflowDataHook
from webflow_conversions.ledger.push import PushQueue, RunForecasts, Worker
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.readback import compare_goals
from webflow_conversions.rules.source import TimestampKind
from webflow_conversions.transport.libcurl import CurlTransport

if TYPE_CHECKING:
    from webflow_conversions.ledger.session import Session
    from webflow_conversions.pipeline.attribution import Credit
    from webflow_conversions.pipeline.dry_run import DryRunLedger, PreviewTable
    from webflow_conversions.pipeline.preview import Foreseen, Preview
    from webflow_conversions.pipeline.run import Run
    from webflow_conversions.pipeline.visits import Visits
    from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery, SourceRows, Warehouse
    from webflow_conversions.rules.window import Window
    from webflow_conversions.transport.api import Api


class NamedQuery(NamedTuple):
    """A query of the configuration: what it is for, its file relative to the folder ``sql``, its connection.

    ``build`` raises Unusable if there is no such file or connection.
    """

    about: str
    file: str
    warehouse_conn_id: str
    build: Callable[[], KnownUsers | SourceQuery | Visits]


class Project:
    """What a configuration file names.

    :param open_warehouse: opens the warehouse of a connection.
    :raises Unusable: if the file cannot be read, or is wrong.
    """

    def __init__(self, path: Path, open_warehouse: Callable[[str], Warehouse] = warehouse) -> None:
        self.file = ConfigurationFile(path)
        self._warehouse = open_warehouse
        self._destinations: dict[str, Api] = {}

    @property
    def config(self) -> Configuration:
        """The content of the configuration file."""
        return self.file.configuration

    def destination(self, name: str) -> Api:
        """A destination by the name of its connection, for which Airflow is asked once.

        :raises Unusable: if there is no such connection, or something in it is missing or wrong.
        """
        if name not in self._destinations:
            self._destinations[name] = WebflowHook(name).get_conn()
        return self._destinations[name]

    def source_query(self, source: Source, window: Window, most_rows: int | None = None) -> SourceQuery:
        """The query of a source, for the conversions of a window; of ``most_rows`` rows at most."""
        from webflow_conversions.pipeline.warehouse import SourceQuery

        return SourceQuery(
            warehouse=self._warehouse(source.warehouse_conn_id),
            name=source.name,
            sql=self.file.sql(source.sql),
            window=window,
            also_required=source.columns_instead,
            zone=source.timestamps.timezone if source.timestamps.kind is TimestampKind.LOCAL else None,
            most_rows=most_rows,
        )

    @cached_property
    def known_users(self) -> KnownUsers:
        """The query for known users."""
        from webflow_conversions.pipeline.warehouse import KnownUsers

        known = self.config.known_users
        return KnownUsers(
            warehouse=self._warehouse(known.warehouse_conn_id), sql=self.file.sql(known.sql), personal_data=known.personal_data
        )

    @cached_property
    def visits(self) -> Visits | None:
        """The queries that tell what will count; None where the configuration has none."""
        attribution = self.config.attribution
        return None if attribution is None else self._visits(attribution)

    @cached_property
    def credit(self) -> Credit | None:
        """How conversions are judged by visits; None where the configuration has none."""
        from webflow_conversions.pipeline.attribution import Credit, Policy

        attribution = self.config.attribution
        if attribution is None or self.visits is None:
            return None
        policy = Policy(holds_unknown=attribution.unknown == "hold", skips_useless=attribution.will_not_count == "skip")
        return Credit(visits=self.visits, policy=policy)

    def preview(
        self,
        source: Source,
        run: Run,
        ledger: DryRunLedger,
        clock: Callable[[], datetime],
        *,
        customer_id: str,
        most_rows: int | None = None,
    ) -> Preview:
        """What the run would do with a source, see :func:`~webflow_conversions.pipeline.dry_run.dry_run`."""
        from webflow_conversions.ledger.preview import TemporaryTable

        with TemporaryTable() as table:
            rows = self.source_query(source, run.window, most_rows)
            return self._dry_run(source, rows, run, ledger, table, clock, customer_id=customer_id)

    def conversions(self, source: Source, rows: SourceRows, run: Run, clock: Callable[[], datetime]) -> list[Foreseen]:
        """What the run would make of each conversion of some rows of a source, where nothing was sent before."""
        from webflow_conversions.ledger.preview import TemporaryTable
        from webflow_conversions.pipeline.dry_run import WithoutLedger

        with TemporaryTable() as table:
            self._dry_run(source, rows, run, WithoutLedger(), table, clock)
            return list(table.conversions())

    def _dry_run(
        self,
        source: Source,
        rows: SourceRows,
        run: Run,
        ledger: DryRunLedger,
        table: PreviewTable,
        clock: Callable[[], datetime],
        customer_id: str = "",
    ) -> Preview:
        from webflow_conversions.pipeline.dry_run import dry_run

        return dry_run(
            run,
            self.config.rules(source),
            rows,
            self.known_users,
            ledger,
            table,
            clock,
            customer_id=customer_id,
            credit=self.credit,
            returns_all=source.returns_all,
            limits=None if run.force else Limits(**self.config.guards.model_dump()),
        )

    def push(self, run: Run, worker: Worker, ledger: Callable[[], Session]) -> Push:
        """A push of the run, ready to go.

        :param ledger: makes sessions on the ledger; a push needs two.
        """
        api, delivery = self.destination(worker.destination), self.config.delivery
        resend = delivery.in_doubt is InDoubt.RESEND
        queue = PushQueue(
            ledger(),
            run,
            worker,
            resend=resend,
            attempts_per_run=delivery.attempts_per_run,
            fingerprint=self.fingerprint(worker.destination),
        )
        transport = CurlTransport(
            api.url,
            [f"{name}: {value}" for name, value in api.headers.items()],
            most=api.concurrency,
            timeout_seconds=api.timeout_seconds,
        )
        settings = PushSettings(
            destination=worker.destination,
            customer_id=api.customer_id,
            concurrency=api.concurrency,
            requests_per_second=api.requests_per_second,
            timeout_seconds=api.timeout_seconds,
            resend=resend,
            patience_seconds=delivery.patience_seconds,
            clock_offset=run.clock_offset or timedelta(),
            token=api.token,
        )
        return Push(queue, transport, settings, RunForecasts(ledger(), run, worker))

    def queries(self, sources: Sequence[str], window: Window) -> list[NamedQuery]:
        """All queries of a run of these sources."""
        known, attribution = self.config.known_users, self.config.attribution
        found = [NamedQuery("known_users", known.sql, known.warehouse_conn_id, lambda: self.known_users)]
        if attribution is not None:
            found.append(
                NamedQuery("attribution", attribution.visits, attribution.warehouse_conn_id, partial(self._visits, attribution))
            )
        for source in map(self.config.source, sources):
            build = partial(self.source_query, source, window)
            found.append(NamedQuery(f"source {source.name}", source.sql, source.warehouse_conn_id, build))
        return found

    def connections(self, sources: Sequence[str]) -> list[str]:
        """The names of all connections of a run of these sources, but for the ledger's."""
        config = self.config
        names = [name for source in map(config.source, sources) for name in (source.webflow_conn_id, source.warehouse_conn_id)]
        names.append(config.known_users.warehouse_conn_id)
        names += [config.attribution.warehouse_conn_id] if config.attribution else []
        names += [config.readback.webflow_data_conn_id] if config.readback else []
        return list(dict.fromkeys(names))

    def goals_difference(self, sources: Sequence[str], now: datetime) -> str | None:
        """Where event names and ``goals`` differ from the goals of the site, see :func:`compare_goals`.

        None as well where the configuration has no ``readback``.

        :raises ConversionsError: if the goals cannot be read.
        """
        if self.config.readback is None:
            return None
        used = {name for name in (self.config.source(source).event_name for source in sources) if name}
        periods = self.config.goals
        configured = (
            None if periods is None else {goal.event_name for goal in periods if not goal.valid_to or goal.valid_to > now}
        )
        with WebflowDataHook(self.config.readback.webflow_data_conn_id).get_conn() as reports:
            return compare_goals(used, configured, reports.goals())

    def fingerprint(self, destination: str) -> str:
        """The fingerprint under which a row that this destination refused stays refused."""
        api = self.destination(destination)
        return digest(
            self.config.model_dump(
                mode="json", exclude={"delivery", "guards", "notices", "readback", "retention_days", "people_retention_days"}
            ),
            api.url,
            api.customer_id,
        )

    def _visits(self, attribution: AttributionSettings) -> Visits:
        from webflow_conversions.pipeline.visits import Visits

        return Visits(
            warehouse=self._warehouse(attribution.warehouse_conn_id),
            sql=self.file.sql(attribution.visits),
            until_sql=self.file.sql(attribution.complete_until),
            history_days=attribution.history_days,
        )
