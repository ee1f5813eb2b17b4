"""A night in a test: a warehouse and a ledger in one real database, and the use cases one after the other."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from webflow_conversions.configuration import Guards
from webflow_conversions.delivery.protocols import Clock, Forecasts, PushLedger, Transport
from webflow_conversions.delivery.push import Push
from webflow_conversions.delivery.settings import PushCounts, PushSettings
from webflow_conversions.ledger.attribution import AttributionOfRun
from webflow_conversions.ledger.extraction import Extraction
from webflow_conversions.ledger.foreseeing import DryRunExtraction
from webflow_conversions.ledger.identification import Identification
from webflow_conversions.ledger.migrations import migrate
from webflow_conversions.ledger.preview import TemporaryTable
from webflow_conversions.ledger.push import PushQueue, RunForecasts, Worker
from webflow_conversions.ledger.runs import Runs
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.attribution import Credit, Judged, Policy, attribute
from webflow_conversions.pipeline.causes import Level
from webflow_conversions.pipeline.dry_run import DryRunLedger, WithoutLedger, dry_run
from webflow_conversions.pipeline.extraction import extract
from webflow_conversions.pipeline.guards import Limits
from webflow_conversions.pipeline.identification import Identified, identify
from webflow_conversions.pipeline.judgement import judge
from webflow_conversions.pipeline.preview import Preview
from webflow_conversions.pipeline.run import Run
from webflow_conversions.pipeline.verdict import Verdict
from webflow_conversions.pipeline.visits import Visits
from webflow_conversions.pipeline.warehouse import KnownUsers, SourceQuery
from webflow_conversions.rules.amounts import Tally
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.rules.source import SourceRules, TimestampKind
from webflow_conversions.rules.window import Window
from webflow_conversions.transport.libcurl import CurlTransport
from webflow_conversions.warehouse.reader import Warehouse

NOW = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
TOKEN, CUSTOMER_ID = "token-of-the-tests", "123456789"
DESTINATION = "webflow_default"

_WAREHOUSE = """
CREATE TABLE IF NOT EXISTS sales (conversion_id text, occurred_at timestamptz, identity_key text, value numeric, event_name text);
CREATE TABLE IF NOT EXISTS people (identity_key text, user_domain text, user_id text, identified_at timestamptz)
"""
SALES = "SELECT * FROM sales"
PEOPLE = "SELECT * FROM people WHERE identity_key IN :identity_keys"

RULES = SourceRules(destination=DESTINATION, source="sales", event_name="offline-purchase", kind=TimestampKind.AWARE)

LIMITS = Limits(
    volume_factor=None,
    value_factor=None,
    rejected_share=None,
    min_rows=200,
    empty_source=False,
    withdrawn_share=0.5,
    lost_user_share=0.5,
)
"""The guards against a source or known users that lost too much, and no other."""


class FixedClock(Clock):
    """A wall clock that a test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at


class Night:
    """One database that is warehouse and ledger, and a clock."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.connect = connect
        self.clock = FixedClock()
        self.session = Session(connect)
        self.runs = Runs(self.session, "nightly")
        self.rules = RULES
        self.sales_sql = SALES
        self.people_sql = PEOPLE
        migrate(self.session)
        self.sql(_WAREHOUSE)

    # The warehouse

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """The rows of a statement, committed."""
        with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def sale(
        self,
        conversion_id: str | None,
        *,
        ago: timedelta = timedelta(hours=1),
        key: str | None = "k1",
        value: Any = Decimal("10.00"),
        event_name: str | None = None,
        at: str | None = None,
    ) -> None:
        """A row of the source."""
        moment: Any = at or self.clock.at - ago
        self.sql("INSERT INTO sales VALUES (%s, %s, %s, %s, %s)", conversion_id, moment, key, value, event_name)

    def person(self, key: str = "k1", user_id: str = "u1", *, domain: str = "crm", ago: timedelta = timedelta(days=9)) -> None:
        """A row of the known users."""
        self.sql("INSERT INTO people VALUES (%s, %s, %s, %s)", key, domain, user_id, self.clock.at - ago)

    @property
    def warehouse(self) -> Warehouse:
        engine = sa.create_engine("postgresql+psycopg2://", creator=self.connect, poolclass=sa.NullPool)
        return Warehouse(engine, "warehouse")

    @property
    def users(self) -> KnownUsers:
        return KnownUsers(warehouse=self.warehouse, sql=self.people_sql, personal_data=PersonalData.REJECT)

    # A run

    def begin(
        self, name: str = "run", *, window: Window | None = None, sources: Sequence[str] | None = None, **flags: Any
    ) -> Run:
        """Open a run over the 2 days up to now, of the source of the rules."""
        is_whole = window is None and not flags.get("dry_run")
        flags = {"dry_run": False, "force": False, "clock_offset": None, "is_whole": is_whole} | flags
        return self.runs.begin(
            run_id=name,
            run_type="manual",
            window=window or Window.up_to(self.clock.at),
            sources=sources or [self.rules.source],
            destinations=[DESTINATION],
            now=self.clock.at,
            **flags,
        )

    def extract(self, run: Run, fingerprint: str = "digest") -> Tally:
        ledger = Extraction(self.session, run, self.rules, fingerprint)
        return extract(run, self.rules, self._source(run), self.users, ledger, self.clock.now)

    def dry_run(self, run: Run, *, policy: Policy | None = None, ledger: DryRunLedger | None = None, **options: Any) -> Preview:
        ledger = ledger or DryRunExtraction(Session(self.connect), run, self.rules, "digest")
        credit = Credit(visits=self.visits, policy=policy) if policy else None
        with TemporaryTable() as table:
            return dry_run(
                run,
                self.rules,
                self._source(run),
                self.users,
                ledger,
                table,
                self.clock.now,
                customer_id=CUSTOMER_ID,
                credit=credit,
                **options,
            )

    def preview(self, *, window: Window | None = None, **options: Any) -> Preview:
        """What a run would do, without a ledger."""
        window = window or Window.up_to(self.clock.at)
        run = Run(id=0, run_id="preview", window=window, sources=[self.rules.source], dry_run=True, force=False)
        return self.dry_run(run, ledger=WithoutLedger(), **options)

    def ready(self, rows: int, *, name: str = "run", **options: Any) -> Run:
        """A run with so many conversions ready to go out: ``c1``, ``c2``, … in the order of expiry."""
        self.person()
        self.sql(
            "INSERT INTO sales SELECT 'c' || g, %s + g * interval '1 ms', 'k1', 1 FROM generate_series(1, %s) g",
            self.clock.at - timedelta(hours=40),
            rows,
        )
        return self.read(name, **options)

    def identify(self, run: Run, *, just_asked: bool = True, **options: Any) -> Identified:
        destinations = {self.rules.destination: run.sources}
        ledger = Identification(Session(self.connect), self.session, run, destinations, just_asked=just_asked)
        done = identify(self.users, ledger, self.clock.now, **options)
        self.runs.approve(run)
        return done

    @property
    def visits(self) -> Visits:
        return Visits(
            warehouse=self.warehouse,
            sql="SELECT * FROM visits WHERE user_id IN :user_ids AND last_active_at >= :since AND started_at < :until",
            until_sql="SELECT moment AS complete_until FROM loaded",
            history_days=30,
        )

    def attribute(self, run: Run, policy: Policy = Policy()) -> Judged:  # noqa: B008
        ledger = AttributionOfRun(Session(self.connect), self.session, run, {self.rules.destination: run.sources})
        return attribute(self.users, Credit(visits=self.visits, policy=policy), ledger, self.clock.now)

    def read(self, name: str = "run", **options: Any) -> Run:
        """A run up to the push."""
        run = self.begin(name, **options)
        self.extract(run)
        self.identify(run)
        return run

    def queue(
        self, run: Run, *, worker: int = 0, try_number: int = 1, session: Session | None = None, **options: Any
    ) -> PushQueue:
        options = {"resend": True, "attempts_per_run": 4, "fingerprint": "digest"} | options
        return PushQueue(session or Session(self.connect), run, self.worker(run, worker, try_number), **options)

    def forecasts(
        self, run: Run, kind: type[RunForecasts] = RunForecasts, *, worker: int = 0, try_number: int = 1
    ) -> RunForecasts:
        return kind(Session(self.connect), run, self.worker(run, worker, try_number))

    @staticmethod
    def worker(run: Run, number: int, try_number: int) -> Worker:
        return Worker(destination=DESTINATION, sources=run.sources, number=number, try_number=try_number)

    def push(self, run: Run, transport: Transport | str, *, worker: int = 0, try_number: int = 1, **options: Any) -> PushCounts:
        """Push to a URL, or over a transport."""
        return self.prepare_push(run, transport, worker=worker, try_number=try_number, **options).run()

    def prepare_push(
        self,
        run: Run,
        transport: Transport | str,
        *,
        worker: int = 0,
        try_number: int = 1,
        settings: Mapping[str, Any] | None = None,
        chance: float = 0.0,
        ledger: PushLedger | None = None,
        forecasts: Forecasts | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> Push:
        """A push over the real ledger and wire, or over those given: a test may put methods of its own in place of theirs."""
        given = replace(SETTINGS, resend=options.get("resend", True), **(settings or {}))
        if isinstance(transport, str):
            transport = curl(transport, given)
        ledger = ledger or self.queue(run, worker=worker, try_number=try_number, **options)
        forecasts = forecasts or self.forecasts(run, worker=worker, try_number=try_number)
        return Push(ledger, transport, given, forecasts, clock=clock or self.clock, chance=lambda: chance)

    def problems(self, run: Run) -> list[str]:
        return [finding.sentence for finding in self.verdict(run).findings if finding.level is Level.FAILED]

    def verdict(self, run: Run, **guards: Any) -> Verdict:
        """The verdict on a run, as reconcile comes to it."""
        self.runs.end_pushes(run)
        limits = Limits(**Guards(**guards).model_dump())
        is_rehearsal = self.runs.rehearses(run, asked=False)
        evidence = self.runs.evidence(run, {DESTINATION: run.sources}, self.clock.at, is_rehearsal=is_rehearsal)
        return judge(evidence, limits)

    def rows(self) -> dict[str | None, Any]:
        """The ledger by conversion ID, as named tuples."""
        with self.session.transaction() as cursor:
            cursor.execute("SELECT * FROM webflow.conversions ORDER BY id")
            return {row.conversion_id: row for row in cursor.fetchall()}

    def row(self, conversion_id: str | None) -> Any:
        return self.rows()[conversion_id]

    def states(self) -> dict[str | None, tuple[str, str | None]]:
        return {name: (row.state, row.reason) for name, row in self.rows().items()}

    def _source(self, run: Run) -> SourceQuery:
        return SourceQuery(warehouse=self.warehouse, name=self.rules.source, sql=self.sales_sql, window=run.window)


SETTINGS = PushSettings(
    destination=DESTINATION,
    customer_id=CUSTOMER_ID,
    concurrency=16,
    requests_per_second=None,
    timeout_seconds=5,
    resend=True,
    patience_seconds=30,
)


def curl(url: str, settings: PushSettings = SETTINGS) -> CurlTransport:
    """The real wire to a simulator."""
    headers = [f"Authorization: ApiKey {TOKEN}", "Content-Type: application/json"]
    return CurlTransport(f"{url}/event", headers, most=settings.concurrency, timeout_seconds=settings.timeout_seconds)
