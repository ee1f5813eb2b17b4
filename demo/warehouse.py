"""A sample warehouse: shops, their sales, the CRM's deals and the site's users, of the last days up to now.

It has the flaws of real ones: many time zones, opening hours, customers unknown to the site, sales without a card,
refunds, a till with a fast clock, deals entered weeks late, text in place of numbers, and duplicate rows.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

from demo.postgres import PostgresServer

DATABASE = "warehouse"

SHOPS = (
    ("NYC", "New York, Broadway", "America/New_York"),
    ("CHI", "Chicago, State Street", "America/Chicago"),
    ("LAX", "Los Angeles, Grove", "America/Los_Angeles"),
    ("LON", "London, Carnaby Street", "Europe/London"),
    ("BER", "Berlin, Torstraße", "Europe/Berlin"),
    ("SYD", "Sydney, Pitt Street", "Australia/Sydney"),
    ("POP", "Pop-up store", "Europe/Berln"),  # a typing error
)

_TABLES = """
DROP TABLE IF EXISTS shops, shop_sales, crm_deals, site_users;
CREATE TABLE shops (shop_id text PRIMARY KEY, name text NOT NULL, timezone text);
CREATE TABLE shop_sales (
    sale_number text, shop_id text REFERENCES shops, sold_at timestamp, loyalty_card text, amount numeric(10, 3)
);
CREATE TABLE crm_deals (
    deal_id bigint, contact_id text, closed_at timestamptz, stage text, amount text, updated_at timestamptz NOT NULL
);
CREATE TABLE site_users (identity_key text, user_domain text NOT NULL, user_id text NOT NULL, identified_at timestamptz NOT NULL);
CREATE INDEX ON shop_sales (sold_at);
CREATE INDEX ON crm_deals (updated_at);
CREATE INDEX ON site_users (identity_key);
"""

_CARDS = 3_000
_CONTACTS = 2_000
_OPEN_FROM, _OPEN_TO = 9, 21


def load(server: PostgresServer, now: datetime, *, sales: int = 4_000, deals: int = 1_500, seed: int = 7) -> None:
    """Recreate and fill the tables; equal seeds and times give equal rows."""
    server.create_database(DATABASE)
    chance = random.Random(seed)
    with closing(server.connect(DATABASE)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_TABLES)
        _copy(cursor, "shops", SHOPS)
        _copy(cursor, "shop_sales", _sales(chance, now, sales))
        _copy(cursor, "crm_deals", _deals(chance, now, deals))
        _copy(cursor, "site_users", _users(chance, now))


def _sales(chance: random.Random, now: datetime, count: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        shop, _, zone = chance.choices(SHOPS, weights=(9, 6, 8, 7, 6, 4, 0.3))[0]
        local = _in_opening_hours(chance, now, "Europe/Berlin" if shop == "POP" else zone)
        sale_number: str | None = f"S{number:07}"
        card: str | None = f"LC-{chance.randrange(_CARDS):05}"
        amount: str | None = f"{chance.lognormvariate(3.6, 0.9):.2f}"
        match chance.random():
            case luck if luck < 0.04:
                card = None
            case luck if luck < 0.05:
                amount = f"-{amount}"
            case luck if luck < 0.06:
                local += timedelta(days=2)  # a till with a fast clock
            case luck if luck < 0.07:
                amount = None
            case luck if luck < 0.08:
                amount = f"{amount}5"  # a third decimal place, to be rounded
            case luck if luck < 0.082:
                sale_number = None
        row = (sale_number, shop, local.isoformat(sep=" "), card, amount)
        yield row
        if chance.random() < 0.01:
            yield row  # the till sent it twice


def _in_opening_hours(chance: random.Random, now: datetime, zone: str) -> datetime:
    """A local time of the shop within the last 3 days; later times are more frequent."""
    while True:
        moment = now - timedelta(hours=72 * chance.random() ** 1.5)
        local = moment.astimezone(ZoneInfo(zone))
        if _OPEN_FROM <= local.hour < _OPEN_TO:
            return local.replace(tzinfo=None)


def _deals(chance: random.Random, now: datetime, count: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        closed_at = now - timedelta(hours=72) * chance.random()
        updated_at = closed_at + (now - closed_at) * chance.random() ** 12
        closed: str | None = closed_at.isoformat()
        contact: str | None = str(72_000_000 + chance.randrange(_CONTACTS))
        stage = chance.choices(("won", "qualified", "closed lost!"), weights=(50, 46, 4))[0]
        amount: str | None = f"{chance.lognormvariate(7, 1):.2f}" if stage == "won" else None
        match chance.random():
            case luck if luck < 0.02:
                amount = "n/a"
            case luck if luck < 0.04:
                contact = None
            case luck if luck < 0.06:
                closed = (closed_at - timedelta(days=25) * chance.random()).isoformat()  # entered late
            case luck if luck < 0.065:
                closed = (closed_at - timedelta(days=60)).isoformat()
            case luck if luck < 0.07:
                closed = "infinity"
            case luck if luck < 0.075:
                closed = None
        yield (880_000 + number, contact, closed, stage, amount, updated_at.isoformat())


def _users(chance: random.Random, now: datetime) -> Iterator[tuple[Any, ...]]:
    for card in range(_CARDS):
        if chance.random() < 0.8:
            yield (f"LC-{card:05}", "shop", f"c{card * 7919 % 1_000_003:06}", _earlier(chance, now))
    for contact in range(_CONTACTS):
        if chance.random() < 0.85:
            yield (str(72_000_000 + contact), "salesforce", f"003{contact:07}", _earlier(chance, now))
        if chance.random() < 0.02:
            yield (str(72_000_000 + contact), "salesforce", f"003{contact:07}B", _earlier(chance, now))
        if chance.random() < 0.01:
            yield (str(72_000_000 + contact), "salesforce", f"person{contact}@example.com", _earlier(chance, now))


def _earlier(chance: random.Random, now: datetime) -> str:
    return (now - timedelta(days=90) * chance.random()).isoformat()


def _copy(cursor: Any, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    text = StringIO("".join("\t".join(r"\N" if field is None else str(field) for field in row) + "\n" for row in rows))
    cursor.copy_expert(f"COPY {table} FROM STDIN", text)
