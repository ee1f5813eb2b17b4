"""What is measured. Each runs in a process of its own."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import requests

from benchmarks.stage import night_in
from tests.night import CUSTOMER_ID, TOKEN, curl
from tests.night import SETTINGS as TESTS_SETTINGS
from webflow_conversions.delivery.push import Push
from webflow_conversions.delivery.settings import PushSettings
from webflow_conversions.ledger.push import PushQueue, RunForecasts, Worker
from webflow_conversions.ledger.session import Session
from webflow_conversions.pipeline.run import Run
from webflow_conversions.rules.event import Event

VALUE = Decimal("149.99")
HEADERS = {"Authorization": f"ApiKey {TOKEN}", "Content-Type": "application/json"}


def bodies(events: int) -> Iterator[bytes]:
    """Events as the push writes them."""
    first = int(time.time() * 1000) - 3_600_000
    salt = time.time_ns()
    for number in range(events):
        yield Event(
            event_name="offline-purchase",
            user_domain="crm",
            user_id=f"user-{number}",
            action_id=f"sales/offline-purchase/{salt}-{number}",
            action_timestamp_ms=first + number % 3_600_000,
            value=VALUE,
        ).body(CUSTOMER_ID)


def loop(url: str, events: int) -> dict[str, Any]:
    """``requests.post`` an event, one after the other: what most people write."""
    for body in bodies(events):
        requests.post(url, data=body, headers=HEADERS, timeout=30).raise_for_status()
    return {"events": events}


def threads(url: str, events: int, number: int) -> dict[str, Any]:
    """Threads that share a ``requests.Session``, as its users do."""
    waiting, lock, session = bodies(events), threading.Lock(), requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=number))
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=number))

    def work() -> None:
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                return
            session.post(url, data=body, headers=HEADERS, timeout=30).raise_for_status()

    workers = [threading.Thread(target=work) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"events": events}


def transport(url: str, events: int, concurrency: int) -> dict[str, Any]:
    """The push's transport alone."""
    wire = curl(url.removesuffix("/event"), replace(TESTS_SETTINGS, concurrency=concurrency, timeout_seconds=30))
    waiting, tags, done = bodies(events), count(), 0
    while done < events:
        while wire.in_flight < concurrency and (body := next(waiting, None)) is not None:
            wire.send(next(tags), body, lambda _: True)
        for _, answer in wire.poll(0.01):
            if answer.status != 200:
                raise RuntimeError(f"HTTP {answer.status} {answer.detail}")
            done += 1
    wire.close()
    return {"events": events}


def push(place: tuple[int, str], plan: Mapping[str, Any], url: str, worker: int, concurrency: int) -> dict[str, Any]:
    """A whole push: from the ledger to the socket and back to the ledger."""
    run, night = Run.from_json(dict(plan)), night_in(*place)
    settings = PushSettings(
        destination="webflow_default",
        customer_id=CUSTOMER_ID,
        concurrency=concurrency,
        requests_per_second=None,
        timeout_seconds=30,
        resend=True,
        patience_seconds=60,
    )
    role = Worker(destination=settings.destination, sources=run.sources, number=worker, try_number=1)
    queue = PushQueue(Session(night.connect), run, role, resend=True, attempts_per_run=6, fingerprint="c")
    wire = curl(url.removesuffix("/event"), settings)
    counts = Push(queue, wire, settings, RunForecasts(Session(night.connect), run, role)).run()
    return {"events": counts.accepted, "requests": counts.requests}


def lookup(place: tuple[int, str], plan: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Look up the users of conversions that wait from earlier runs and that no source returned again."""
    night = night_in(*place)
    night.people_sql = "SELECT * FROM big_people WHERE identity_key IN :identity_keys"
    run = Run.from_json(dict(plan))
    night.clock.at = run.window.end
    done = night.identify(run)
    if (done.looked_up, done.known) != (rows, rows):
        raise RuntimeError(f"{done}, not {rows} looked up and known")
    return {"events": rows}


def extract(place: tuple[int, str], plan: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Read, convert, check, identify, write."""
    night = night_in(*place)
    night.sales_sql = "SELECT * FROM big_sales"
    night.people_sql = "SELECT * FROM big_people WHERE identity_key IN :identity_keys"
    run = Run.from_json(dict(plan))
    night.clock.at = run.window.end
    tally = night.extract(run)
    if tally.read.rows != rows:
        raise RuntimeError(f"{tally.read.rows} rows were read, not {rows}")
    night.identify(run)
    return {"events": rows}
