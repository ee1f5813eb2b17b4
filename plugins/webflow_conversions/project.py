"""A configuration file and the Airflow connections that it names, as the queries of a run.

Tasks and command alike build what they work with here.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from webflow_conversions.configuration import Configuration, ConfigurationFile, Source, digest
from webflow_conversions.hooks.connections import warehouse
from webflow_conversions.hooks.webflow import WebflowHook
from webflow_conversions.pipeline.visits import Visits
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery
from webflow_conversions.rules.timestamps import TimestampKind
from webflow_conversions.rules.window import Window


class Query(Protocol):
    """A query of the configuration."""

    def check(self) -> None:
        """Ask the database whether the query can work, without reading a row.

        :raises Unusable: if it lacks a column, or the database refuses it.
        :raises Unavailable: if the database does not answer.
        """


class Project:
    """What a configuration file names.

    :raises Unusable: if the file cannot be read, or is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.file = ConfigurationFile(path)

    @property
    def config(self) -> Configuration:
        """The content of the configuration file."""
        return self.file.configuration

    def source_query(self, source: Source, window: Window) -> SourceQuery:
        """The query of a source, for the conversions of a window."""
        return SourceQuery(
            warehouse=warehouse(source.warehouse_conn_id),
            name=source.name,
            sql=self.file.sql(source.sql),
            window=window,
            also_required=source.columns_instead,
            zone=source.timestamps.timezone if source.timestamps.kind is TimestampKind.LOCAL else None,
        )

    @cached_property
    def known_users(self) -> KnownUsers:
        """The query for known users."""
        known = self.config.known_users
        return KnownUsers(
            warehouse=warehouse(known.warehouse_conn_id), sql=self.file.sql(known.sql), personal_data=known.personal_data
        )

    @cached_property
    def visits(self) -> Visits | None:
        """The queries that tell what will count; None where the configuration has none."""
        attribution = self.config.attribution
        if attribution is None:
            return None
        return Visits(
            warehouse=warehouse(attribution.warehouse_conn_id),
            sql=self.file.sql(attribution.visits),
            until_sql=self.file.sql(attribution.complete_until),
            history_days=attribution.history_days,
        )

    def queries(self, sources: Sequence[str], window: Window) -> Iterator[Query]:
        """All queries of a run of these sources, each built when it is asked for."""
        yield self.known_users
        if self.visits is not None:
            yield self.visits
        for name in sources:
            yield self.source_query(self.config.source(name), window)

    def config_digest(self, destination: str) -> str:
        """The fingerprint under which a row that this destination refused stays refused."""
        api = WebflowHook(destination).get_conn()
        return digest(
            self.config.model_dump(
                mode="json", exclude={"delivery", "guards", "notices", "readback", "retention_days", "people_retention_days"}
            ),
            api.url,
            api.customer_id,
        )
