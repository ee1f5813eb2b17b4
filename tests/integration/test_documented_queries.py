"""The query of known users with keys of several types, as docs/sources.md has it, on a real PostgreSQL."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa

from demo.airflow_stack import REPOSITORY
from demo.postgres import PostgresServer
from tests.unit.test_documents import SOURCES, blocks
from webflow_conversions.pipeline.warehouse import KnownUsers
from webflow_conversions.rules.personal_data import PersonalData
from webflow_conversions.rules.query import Query
from webflow_conversions.warehouse.reader import Warehouse

CONTACT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
TABLES = f"""
CREATE TABLE shop_customers (id integer, first_login timestamptz);
CREATE TABLE crm_contacts (id uuid, linked_at timestamptz);
CREATE TABLE newsletter_readers (email text, opened_at timestamptz);
CREATE TABLE members (email text);
INSERT INTO shop_customers VALUES (17, now());
INSERT INTO crm_contacts VALUES ('{CONTACT.upper()}', now());
INSERT INTO newsletter_readers VALUES ('Ann@Example.com ', now());
INSERT INTO members VALUES (' ann@example.COM')
"""


def test_one_query_of_known_users_finds_integers_uuids_and_hashes(postgres: PostgresServer, database: Callable[[], Any]) -> None:
    with closing(database()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        text = SOURCES.read_text(encoding="utf-8")
        (of_the_club,) = re.findall(r"^\| club.*`('mail-' .+)` \|$", text, re.MULTILINE)
        cursor.execute(f"SELECT {of_the_club.replace(chr(92), '')} FROM members m")
        (hashed,) = cursor.fetchone()
    engine = sa.create_engine("postgresql+psycopg2://", creator=database, poolclass=sa.NullPool)
    (sql,) = blocks(SOURCES, "sql")
    known = KnownUsers(warehouse=Warehouse(engine, "warehouse"), sql=Query(sql), personal_data=PersonalData.REJECT)

    known.check()
    found = known.all_of(["shop-17", "shop-18", "17", f"crm-{CONTACT}", hashed])

    users = {row["identity_key"]: (row["user_domain"], row["user_id"]) for _, row in found.iterrows()}
    assert users == {
        "shop-17": ("shop", "17"),
        f"crm-{CONTACT}": ("crm", CONTACT),
        hashed: ("mail", hashed.removeprefix("mail-")),
    }


def test_a_postgres_for_a_first_ledger_runs_until_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "demo.postgres", "--folder", str(tmp_path / "postgres")],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        (url,) = re.findall(r"^export AIRFLOW_CONN_WEBFLOW_LEDGER='postgres(://.+)'$", line)
        with closing(psycopg2.connect(f"postgresql{url}")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_setting('fsync')")
            assert cursor.fetchone() == ("webflow", "on")
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
