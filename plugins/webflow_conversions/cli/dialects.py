"""The SQL of the databases for which ``init`` writes queries, in the pieces that differ from one to another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a database writes things. In the texts, ``{0}`` stands for a column, and ``{bind}`` for a moment of the window."""

    title: str
    connection: str
    """The connection ``warehouse``, as a value of AIRFLOW_CONN_WAREHOUSE."""
    packages: str = ""
    """What has to be installed beside the product."""
    quoted: str = '"{0}"'
    """An identifier that is a reserved word."""
    has_capitals: bool = False
    """Names without quotes are capitals, so quotes have to hold capitals."""
    keeps_case: bool = False
    """Airbyte keeps capitals in the names of tables and columns, so that only quotes reach them."""
    text: str = "varchar"
    """The type of a text of any length."""
    moment: str = "timestamptz"
    """The type of a moment with its offset."""
    decimal: str = "decimal(18, 2)"
    true: str = "TRUE"
    false: str = "FALSE"
    in_json: str
    """The text of a path in a JSON column; ``{key}`` is a key."""
    first_in_json: str
    """The text of the first element of a list in a JSON column."""
    seconds: str
    """A moment of the window as seconds since 1970."""
    a_day_off: str
    """A moment of the window in UTC without its offset, a day earlier or later (``{sign}``)."""
    timestamps: str = "{kind: aware}"
    """What a connector's moments are to the configuration."""
    comparable: str = "{0}"
    """A column that holds a moment, so that it can be compared with one of the window."""


DIALECTS = {
    "postgresql": Dialect(
        title="PostgreSQL",
        connection="postgres://webflow_reader:…@warehouse.example.com:5432/shop",
        keeps_case=True,
        text="text",
        in_json="{0} ->> '{key}'",
        first_in_json="{0} ->> 0",
        seconds="EXTRACT(EPOCH FROM CAST({bind} AS timestamptz))",
        a_day_off="CAST({bind} AS timestamptz) AT TIME ZONE 'UTC' {sign} INTERVAL '1 day'",
    ),
    "snowflake": Dialect(
        title="Snowflake",
        connection='{"conn_type": "snowflake", "login": "webflow_reader", "password": "…",'
        ' "extra": {"account": "…", "warehouse": "…", "database": "…", "role": "…"}}',
        packages="apache-airflow-providers-snowflake snowflake-sqlalchemy",
        has_capitals=True,
        moment="timestamp_tz",
        in_json="CAST({0}['{key}'] AS varchar)",
        first_in_json="CAST({0}[0] AS varchar)",
        seconds="DATE_PART(epoch_second, CAST({bind} AS timestamp_tz))",
        a_day_off="DATEADD(day, {sign}1, CAST({bind} AS timestamp_ntz))",
    ),
    "bigquery": Dialect(
        title="BigQuery",
        connection='{"conn_type": "google_cloud_platform", "extra": {"project": "…", "key_path": "…"}}',
        packages="apache-airflow-providers-google sqlalchemy-bigquery",
        quoted="`{0}`",
        text="string",
        moment="timestamp",
        decimal="numeric",
        in_json="JSON_VALUE({0}, '$.{key}')",
        first_in_json="JSON_VALUE({0}, '$[0]')",
        seconds="UNIX_SECONDS({bind})",
        a_day_off="DATETIME_ADD(DATETIME({bind}), INTERVAL {sign}1 DAY)",
    ),
    "redshift": Dialect(
        title="Redshift",
        connection='{"conn_type": "redshift", "host": "….redshift.amazonaws.com", "port": 5439, "login": "webflow_reader",'
        ' "password": "…", "schema": "shop"}',
        packages="apache-airflow-providers-amazon sqlalchemy-redshift",
        in_json="CAST({0}.{key} AS varchar)",
        first_in_json="CAST({0}[0] AS varchar)",
        seconds="EXTRACT(EPOCH FROM CAST({bind} AS timestamptz))",
        a_day_off="CAST({bind} AS timestamptz) AT TIME ZONE 'UTC' {sign} INTERVAL '1 day'",
    ),
    "databricks": Dialect(
        title="Databricks",
        connection='{"conn_type": "databricks", "host": "….cloud.databricks.com", "login": "token", "password": "…",'
        ' "extra": {"http_path": "…"}}',
        packages="apache-airflow-providers-databricks databricks-sqlalchemy",
        quoted="`{0}`",
        text="string",
        moment="timestamp",
        in_json="get_json_object({0}, '$.{key}')",
        first_in_json="get_json_object({0}, '$[0]')",
        seconds="unix_timestamp(CAST({bind} AS timestamp))",
        a_day_off="CAST({bind} AS timestamp_ntz) {sign} INTERVAL '1' DAY",
    ),
    "sqlserver": Dialect(
        title="SQL Server",
        connection="mssql://webflow_reader:…@warehouse.example.com:1433/shop",
        packages="apache-airflow-providers-microsoft-mssql",
        quoted="[{0}]",
        text="nvarchar(500)",
        moment="datetimeoffset",
        true="1",
        false="0",
        in_json="JSON_VALUE({0}, '$.{key}')",
        first_in_json="JSON_VALUE({0}, '$[0]')",
        seconds="DATEDIFF_BIG(second, '1970-01-01', {bind})",
        a_day_off="DATEADD(day, {sign}1, CAST({bind} AS datetime2))",
    ),
    "mysql": Dialect(
        title="MySQL or MariaDB",
        connection="mysql://webflow_reader:…@warehouse.example.com:3306/shop",
        packages="apache-airflow-providers-mysql",
        quoted="`{0}`",
        text="char",
        moment="datetime",
        in_json="JSON_VALUE({0}, '$.{key}')",
        first_in_json="JSON_VALUE({0}, '$[0]')",
        seconds="UNIX_TIMESTAMP({bind})",
        a_day_off="CAST({bind} AS datetime) {sign} INTERVAL 1 DAY",
        timestamps="{kind: local, timezone: UTC}",
    ),
    "duckdb": Dialect(
        title="DuckDB or MotherDuck",
        connection='{"conn_type": "duckdb", "host": "/data/shop.duckdb", "extra": {"read_only": true}}',
        packages="apache-airflow-providers-duckdb duckdb-engine",
        in_json="json_extract_string({0}, '$.{key}')",
        first_in_json="json_extract_string({0}, '$[0]')",
        seconds="epoch(CAST({bind} AS timestamptz))",
        a_day_off="CAST({bind} AS timestamptz) AT TIME ZONE 'UTC' {sign} INTERVAL '1 day'",
    ),
    "sqlite": Dialect(
        title="SQLite",
        connection='{"conn_type": "sqlite", "host": "/data/shop.sqlite", "extra": {"mode": "ro"}}',
        packages="apache-airflow-providers-sqlite",
        text="text",
        moment="text",
        in_json="json_extract({0}, '$.{key}')",
        first_in_json="json_extract({0}, '$[0]')",
        seconds="unixepoch({bind})",
        a_day_off="julianday({bind}) {sign} 1",
        comparable="julianday({0})",
    ),
}
"""By the name that the command uses."""
