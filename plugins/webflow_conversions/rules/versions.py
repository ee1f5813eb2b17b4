"""Of several source rows of one conversion, the one that stands.

A row that can be sent beats one that cannot, and a key that leads to a user beats one that does not; then the earliest moment,
the smaller value, the identity key and the detail decide. The order of rows, chunks and runs never does: a chunk is compared
here, and with what the same extraction recorded before in ``ledger/sql/extraction/merge_staged.sql``, by the same columns.
"""

import numpy as np
import pandas as pd

from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.states import FAULTS, State

OUTSIDE, TOO_OLD = "outside", "too_old"
"""Why a row is not recorded as a new conversion, as a tally calls it. A conversion that is there already follows it."""

_RANKS = {State.READY: 0, State.HELD: 1, State.FUTURE: 2, State.EXPIRED: 4}
_UNFIT_USER, _UNFIT_ROW = 3, 5
_BESIDE = 10
"""What the run does not record comes after all that it records."""

_FACTS = ("action_timestamp_ms", "value", "identity_key", "detail")


def ranked(judged: pd.DataFrame) -> pd.DataFrame:
    """The rows with their ``rank``: how near each is to being sent, 0 the nearest."""
    states = judged["state"].to_numpy(dtype=object)
    is_fault = np.array([reason in FAULTS for reason in judged["reason"]], dtype=bool)
    ranks = np.select([states == state for state in _RANKS], list(_RANKS.values()), np.where(is_fault, _UNFIT_ROW, _UNFIT_USER))
    return judged.assign(rank=ranks + np.where(judged["beside"].notna(), _BESIDE, 0))


def choose_versions(judged: pd.DataFrame) -> tuple[pd.DataFrame, Tally]:
    """One row for each conversion, and the tally of all rows.

    :param judged: rows with a state and, where one is known, a user; ``beside`` says why a row is not recorded, else None.
    :return: the rows that stand with two columns more: ``rank``, and ``alike``, the number of rows that say the same.
    """
    rows = ranked(judged)
    kept, alike, conflicting = _compared(rows)
    beside = {name: rows["beside"] == name for name in (OUTSIDE, TOO_OLD)}
    return kept, Tally(
        read=Amount.of(rows["value"]),
        recorded=Amount.of(kept["value"][kept["beside"].isna()]),
        duplicates=Amount.of(alike["value"][alike["beside"].isna()]),
        conflicting=Amount.of(conflicting["value"][conflicting["beside"].isna()]),
        outside=Amount.of(rows["value"][beside[OUTSIDE]]),
        too_old=Amount.of(rows["value"][beside[TOO_OLD]]),
    )


def _compared(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The rows that stand, those that say the same as one of them, and those that say something else."""
    if rows["action_id"].is_unique:
        return rows.assign(alike=1), rows.iloc[:0], rows.iloc[:0]
    order = rows.assign(
        amount=[float("inf") if value is None else float(value) for value in rows["value"]], words=rows["detail"].fillna("")
    ).sort_values(["rank", "action_timestamp_ms", "amount", "identity_key", "words"], kind="stable")
    first = ~order["action_id"].duplicated()
    kept, dropped = rows.loc[order.index[first]], rows.loc[order.index[~first]]
    beside = dropped[["action_id"]].merge(kept[["action_id", *_FACTS]], on="action_id")
    facts = list(_FACTS)
    mine, other = dropped[facts].reset_index(drop=True).astype(object), beside[facts].astype(object)
    is_alike = ((mine == other) | (mine.isna() & other.isna())).all(axis=1).to_numpy()
    alike = dropped["action_id"][is_alike].value_counts()
    kept = kept.assign(alike=1 + kept["action_id"].map(alike).fillna(0).astype(int)).sort_index()
    return kept, dropped[is_alike], dropped[~is_alike]
