"""The visits of the sample warehouse's users on the simulated site, and the nightly Data Exports of them into the warehouse."""

from contextlib import closing
from datetime import datetime, timedelta

from demo import warehouse
from demo.postgres import PostgresServer
from demo.simulator.exports import create_tables, export
from demo.simulator.site import Kind, Report, Site, User
from demo.simulator.site_generator import Person, visits_of

HISTORY = timedelta(days=30)
"""Time before now in which people visited the site: as long as a view counts."""
_OPENED = timedelta(days=40)
"""Age of the site's first visit. The exports reach back that far, so a missing view is one that never was."""
_BEFORE_SALE = {"shop": 0.85, "salesforce": 0.35}
"""Share of the conversions that follow a visit, by user domain: sales follow sooner than deals."""
_EVER = 2**45

GOALS = [
    {"goal_id": str(number), "event_name": name}
    for number, name in enumerate(("offline-purchase", "deal-won", "lead-qualified"), start=1)
]
"""The account's custom goals: one for each event name of the sample."""

_USERS = """
SELECT person.user_domain, person.user_id,
    array_remove(array_agg(floor(extract(epoch FROM sold.at) * 1000)::bigint ORDER BY sold.at), NULL)
FROM site_users person
LEFT JOIN (
    SELECT loyalty_card AS identity_key, sold_at AT TIME ZONE timezone AS at
    FROM shop_sales
    JOIN (SELECT * FROM shops WHERE timezone IN (SELECT name FROM pg_timezone_names) OFFSET 0) shop USING (shop_id)
    UNION ALL
    SELECT contact_id, closed_at FROM crm_deals WHERE closed_at < 'infinity'
) sold USING (identity_key)
GROUP BY person.user_domain, person.user_id
ORDER BY person.user_domain, person.user_id
"""


def make(server: PostgresServer, now: datetime, seed: int = 7) -> list[Report]:
    """What the users of a filled warehouse did on the site up to ``now``; equal seeds, times and users give equal reports."""
    opened = _milliseconds(now - _OPENED)
    reports = [Report("first", opened, Kind.PAGE, "/"), Report("first", opened, Kind.VARIATION, "base", "homepage headline")]
    people: dict[str, list[Person]] = {domain: [] for domain in _BEFORE_SALE}
    with closing(server.connect(warehouse.DATABASE)) as connection, connection.cursor() as cursor:
        cursor.execute(_USERS)
        for number, (domain, user_id, moments) in enumerate(cursor.fetchall()):
            people[domain].append(Person(f"visitor-{number}", [User(domain, user_id)], moments=moments))
    for domain, share in _BEFORE_SALE.items():
        reports += visits_of(seed, people[domain], _milliseconds(now - HISTORY), _milliseconds(now), share)
    return reports


def land(
    server: PostgresServer,
    reports: list[Report],
    customer_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> None:
    """Add the Data Exports of what was reported in ``[since, until)`` to the warehouse; without ``since`` in new tables.

    Without ``until`` all that follows is added.
    """
    start, end = 0 if since is None else _milliseconds(since), _EVER if until is None else _milliseconds(until)
    with closing(server.connect(warehouse.DATABASE)) as connection, connection, connection.cursor() as cursor:
        if since is None:
            create_tables(cursor)
        export(cursor, Site(reports), customer_id, start, end)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
