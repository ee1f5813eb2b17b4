"""Rows of a frame on their way into a table, by COPY."""

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pandas as pd
from psycopg2.extensions import cursor as Cursor

from webflow_conversions.ledger.session import statement

_READ_BYTES = 2**20
"""Bytes that psycopg2 reads at a time. For each reading it waits for Python's lock, which another thread may have: the one
that judges the next rows, say."""


def copy_in(cursor: Cursor, name: str, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Run the statement ``name``, a ``COPY … FROM STDIN WITH (FORMAT csv)``, with these columns of the frame.

    Null is an empty field, so no text in them may be empty.
    """
    text = StringIO()
    csv.writer(text).writerows(zip(*(listed(frame[column]) for column in columns), strict=True))
    text.seek(0)
    cursor.copy_expert(statement(name), text, _READ_BYTES)


def listed(column: pd.Series) -> list[Any]:
    """The values of a column as Python's own, None for null."""
    values: list[Any] = column.to_numpy(dtype=object, na_value=None).tolist()  # type: ignore[call-overload]
    return values
