"""The first files of a project: a configuration, and the SQL of a system's tables as a connector lands them in a warehouse."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from webflow_conversions.cli.dialects import DIALECTS, Dialect

SCHEMA_FILE = "conversions.schema.json"

LOADERS = {
    "fivetran": "Fivetran",
    "fivetran-rest": "Fivetran over Shopify's former REST API",
    "airbyte": "Airbyte",
    "own": "its own database",
}

_DESTINATIONS = {
    # What each loads into, as far as this project knows the types that come out.
    "fivetran": tuple(name for name in DIALECTS if name != "sqlite"),
    "fivetran-rest": tuple(name for name in DIALECTS if name != "sqlite"),
    "airbyte": tuple(name for name in DIALECTS if name not in ("sqlite", "mysql")),
}

NO_DECIMALS = frozenset(["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"])
"""The currencies whose amounts Stripe gives in whole units. ISK and UGX are not among them: Stripe gives them in hundredths
(https://docs.stripe.com/currencies, zero-decimal currencies and special cases)."""
THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Where conversions come from, and what they are called unless somebody says otherwise."""

    title: str
    loaders: tuple[str, ...]
    source: str
    event_name: str
    people: str
    """Whose IDs the conversions carry, in words."""


SYSTEMS = {
    "shopify": System(
        title="Shopify",
        loaders=("fivetran", "fivetran-rest", "airbyte"),
        source="shopify_sales",
        event_name="offline-purchase",
        people="customer",
    ),
    "woocommerce": System(
        title="WooCommerce",
        loaders=("airbyte", "own"),
        source="woocommerce_sales",
        event_name="offline-purchase",
        people="customer",
    ),
    "stripe": System(
        title="Stripe", loaders=("fivetran", "airbyte"), source="stripe_payments", event_name="payment", people="customer"
    ),
    "salesforce": System(
        title="Salesforce", loaders=("fivetran", "airbyte"), source="salesforce_deals", event_name="deal-won", people="contact"
    ),
    "hubspot": System(
        title="HubSpot", loaders=("fivetran", "airbyte"), source="hubspot_deals", event_name="deal-won", people="contact"
    ),
    "plain": System(
        title="plain tables", loaders=("own",), source="store_orders", event_name="offline-purchase", people="customer"
    ),
}


def dialects_of(system: str, loader: str) -> tuple[str, ...]:
    """The databases that the tables of a system may be in."""
    if loader == "own":
        return tuple(DIALECTS) if system == "plain" else ("mysql",)
    return _DESTINATIONS[loader]


def default_schema(system: str, loader: str, dialect: str) -> str:
    """The schema in which a connector lands the tables unless it is told otherwise."""
    if loader == "own":
        return "wordpress"
    if loader == "airbyte":
        return {"postgresql": "public", "redshift": "public", "duckdb": "main", "sqlserver": "dbo"}.get(dialect, "airbyte")
    return system


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A table of the user's own, its columns, and what the column of the moment holds."""

    table: str = "orders"
    id: str = "order_number"
    time: str = "paid_at"
    key: str = "customer_no"
    value: str = "total"
    known_users: str = "site_users"
    kind: str = "aware"
    timezone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What ``init`` was told."""

    system: str
    loader: str
    dialect: str
    event_name: str
    schema: str = ""
    source: str
    user_domain: str
    currency: str | None = None
    plain: Plain = Plain()

    @property
    def timestamps(self) -> str:
        """The source's ``timestamps``, as YAML."""
        if self.system == "plain":
            zone = f", timezone: {self.plain.timezone}" if self.plain.timezone else ""
            return f"{{kind: {self.plain.kind}{zone}}}"
        if (self.system, self.loader) == ("stripe", "airbyte"):
            return "{kind: epoch_seconds}"
        return DIALECTS[self.dialect].timestamps


def starter(answers: Answers) -> Mapping[str, str]:
    """The files by their path below the folder of the configuration."""
    environment = Environment(
        loader=PackageLoader(__package__, "templates/starters"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL and YAML of answers that were checked
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = _as_yaml
    environment.filters["literal"] = _as_literal
    dialect = DIALECTS[answers.dialect]
    names = {
        "a": answers,
        "dialect": dialect,
        "sql": _Sql(dialect, answers),
        "system": SYSTEMS[answers.system],
        "loader": LOADERS[answers.loader],
        "is_fivetran": answers.loader.startswith("fivetran"),
    }

    def rendered(template: str) -> str:
        return environment.get_template(template).render(names)

    return {
        "conversions.yaml": rendered("conversions.yaml"),
        SCHEMA_FILE: schema_text(),
        f"sql/sources/{answers.source}.sql": rendered(f"{answers.system}.sql"),
        "sql/known_users.sql": rendered("known_users.sql"),
    }


def schema_text() -> str:
    """The JSON schema of the configuration."""
    return (files(__package__) / "templates" / SCHEMA_FILE).read_text(encoding="utf-8")


def _as_yaml(text: str) -> str:
    """A text as a word of YAML, in quotes if it would be read as something else."""
    is_word = re.fullmatch(r"[A-Za-z_][\w.-]*", text, re.ASCII) is not None
    return text if is_word and yaml.safe_load(text) == text else json.dumps(text)


def _as_literal(text: str) -> str:
    """A text as a literal of SQL, in which a colon is no bind."""
    return "'" + text.replace("'", "''").replace(":", "\\:") + "'"


class _Sql:
    """The words of a template for what a dialect writes in its own way."""

    def __init__(self, dialect: Dialect, answers: Answers) -> None:
        self._dialect = dialect
        self._answers = answers

    def table(self, name: str, *, is_reserved: bool = False) -> str:
        """A table in the schema that was given."""
        if is_reserved:
            name = self._dialect.quoted.format(name.upper() if self._dialect.has_capitals else name)
        else:
            name = self.name(name)
        return f"{self._answers.schema}.{name}" if self._answers.schema else name

    def name(self, name: str) -> str:
        """A name that Airbyte may have left with its capitals."""
        return self._dialect.quoted.format(name) if self._dialect.keeps_case and name != name.lower() else name

    def within(self, column: str) -> str:
        """The condition that a moment lies in the window."""
        column = self._dialect.comparable.format(column)
        return f"{column} >= {self._bound('window_start')}\n    AND {column} < {self._bound('window_end')}"

    def seconds_within(self, column: str, factor: str = "") -> str:
        """The same for a number of seconds, or with a factor of other units."""
        start, end = (self._dialect.seconds.format(bind=f":{name}") + factor for name in ("window_start", "window_end"))
        return f"{column} >= {start}\n    AND {column} < {end}"

    def near(self, column: str) -> str:
        """The condition that a local time may lie in the window, whatever its zone."""
        column = self._dialect.comparable.format(column)
        start = self._dialect.a_day_off.format(bind=":window_start", sign="-")
        end = self._dialect.a_day_off.format(bind=":window_end", sign="+")
        return f"{column} >= {start}\n    AND {column} < {end}"

    def yes(self, column: str) -> str:
        """The condition that a column is true."""
        return f"{column} = {self._dialect.true}"

    def no(self, column: str) -> str:
        """The condition that a column is false or null."""
        return f"COALESCE({column}, {self._dialect.false}) = {self._dialect.false}"

    def text(self, column: str) -> str:
        """A column as text."""
        return f"CAST({column} AS {self._dialect.text})"

    def moment(self, column: str) -> str:
        """A column as a moment, whether the connector landed it as one or as text."""
        return f"CAST({column} AS {self._dialect.moment})"

    def number(self, column: str) -> str:
        """A column of text as a number."""
        return f"CAST({column} AS {self._dialect.decimal})"

    def in_json(self, column: str, key: str) -> str:
        """The text of a key of a JSON column."""
        return self._dialect.in_json.format(column, key=key)

    def first_in_json(self, column: str) -> str:
        """The text of the first element of a JSON column."""
        return self._dialect.first_in_json.format(column)

    def minor_units(self, amount: str) -> str:
        """An amount of Stripe in units of its currency."""
        currency = self._answers.currency
        if currency in NO_DECIMALS:
            return amount
        return f"({amount}) / {'1000.0' if currency in THREE_DECIMALS else '100.0'}"

    def _bound(self, name: str) -> str:
        return self._dialect.comparable.format(f":{name}")
