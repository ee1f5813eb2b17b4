"""What the pages and the API do alike: the overview, finding, acting."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from time import monotonic

from webflow_conversions.errors import ConversionsError, Unavailable, Unusable
from webflow_conversions.ledger.actions import DOWNLOAD, MOST_CONVERSIONS, Action, ActionRecord, Actions
from webflow_conversions.ledger.overview import OverviewData, read_overview
from webflow_conversions.ledger.search import Conversion, Conversions, Filter
from webflow_conversions.ui.conversion import Shown, shown
from webflow_conversions.ui.dag import DAG_ID, dag_now, start_run
from webflow_conversions.ui.ledger import WAIT_SECONDS, NoLedger, acting, reading
from webflow_conversions.ui.overview import Overview, overview

SHARE = 5
"""An overview, or its failure, stands for so many times the seconds that it took: many viewers cost little more than one."""
RUNS_KEPT = 20


def now() -> datetime:
    """The wall clock, aware."""
    return datetime.now(UTC)


class Recent:
    """The last overviews, each made by one thread and shared by those who ask meanwhile; a failure is shared likewise."""

    def __init__(self, make: Callable[[int | None], Overview]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: dict[int | None, tuple[Overview | ConversionsError, float]] = {}

    def get(self, run: int | None) -> Overview:
        """The overview with a run's funnel; None for the last whole run.

        :raises Unavailable: if the ledger is away, or takes longer than anybody should hold a thread of Airflow's API server.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("The ledger takes long to answer: try again in some seconds.")
        try:
            made, good_until = self._made.get(run, (None, 0.0))
            if made is None or monotonic() >= good_until:
                made = self._make_anew(run)
        finally:
            self._lock.release()
        if isinstance(made, ConversionsError):
            raise made.with_traceback(None)
        return made

    def forget(self) -> None:
        """Make the next one anew."""
        self._made.clear()

    def _make_anew(self, run: int | None) -> Overview | ConversionsError:
        began = monotonic()
        made: Overview | ConversionsError
        try:
            made = self._make(run)
        except ConversionsError as error:
            made = error
        self._made[run] = (made, monotonic() + SHARE * (monotonic() - began))
        while len(self._made) > RUNS_KEPT:
            self._made.pop(next(iter(self._made)))
        return made


def _overview(run: int | None) -> Overview:
    # Airflow first: what has ended there is in the figures by then.
    dag, moment = dag_now(), now()
    try:
        with reading() as session:
            data = read_overview(session, DAG_ID, moment, run, next_run_at=dag.next_run_at)
    except NoLedger:
        data = OverviewData(at=moment)
    return overview(data, dag, moment)


recent = Recent(_overview)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to: the one conversion that it can be, or the filter for all that it can be; None for nothing."""

    one: Conversion | None = None
    chosen: Filter | None = None


def search(text: str) -> Found:
    """Look for a conversion ID, an action ID or a user ID, then for the beginning of a conversion ID."""
    with reading() as session:
        conversions = Conversions(session)
        by_id = Filter(conversion=text)
        page = conversions.page(by_id, 2)
        if len(page.conversions) == 1:
            return Found(one=page.conversions[0])
        if page.conversions:
            return Found(chosen=by_id)
        user_of = conversions.of_user(_user_ids(text))
        if user_of is not None:
            return Found(chosen=Filter(user_of=user_of))
        begins = Filter(begins=text)
        return Found(chosen=begins if conversions.ids(begins, 1) else None)


def _user_ids(text: str) -> list[str]:
    """The user ID itself and, of what may be personal data, the hash that goes out in its place."""
    if "@" not in text and not text.startswith(("+", "0")):
        return [text]
    from webflow_conversions.rules.identity import hashed

    return [text, hashed(text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An action that was done; ``complaint`` says why no run was started, if one was to be."""

    action: ActionRecord
    complaint: str | None = None


def do(action: Action, chosen: Filter, person: str, *, run_too: bool) -> Done:
    """Send again or write off what the filter shows, and start a run that sends it."""
    with acting() as session:
        actions = Actions(session)
        ids = Conversions(session).ids(chosen, MOST_CONVERSIONS)
        number = actions.do(action, chosen, ids, person, now())
        recent.forget()
        complaint = None
        if run_too:
            try:
                actions.started(number, start_run(person))
            except Unusable as error:
                complaint = str(error)
        record = actions.one(number)
    if record is None:
        raise Unusable(f"Action {number} is not there any more.")
    return Done(action=record, complaint=complaint)


def download(chosen: Filter, person: str, *, in_clear: bool) -> Iterator[Sequence[Shown]]:
    """What the filter shows, page by page; recorded now, and with its size at the end, also where the reader goes away."""
    with acting() as session:
        number = Actions(session).begin(DOWNLOAD, chosen, person)
    return _pages(chosen, number, in_clear=in_clear)


def _pages(chosen: Filter, number: int, *, in_clear: bool) -> Iterator[Sequence[Shown]]:
    sent = 0
    try:
        with reading() as session:
            for page in Conversions(session).pages(chosen):
                sent += len(page)
                yield [shown(conversion, in_clear=in_clear) for conversion in page]
    finally:
        with acting() as session:
            Actions(session).count(number, sent)
