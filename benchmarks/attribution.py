"""The verdict on conversions, against ten visits each, in pages, as a run judges them. Reading the visits is not in it.

The seconds are those of its core: it waits for nothing.
"""

import time
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.pipeline.attribution import PAGE_ROWS
from webflow_conversions.rules.attribution import Coverage, judge

DAY_MS = 86_400_000
NOW_MS = 1_795_467_600_000
VISITS_OF_A_USER = 10


def judging(conversions: int) -> dict[str, Any]:
    """Judge conversions of 2 days, a user each, against visits of 30 days in random order; a third of them shows no variation."""
    dice, seconds = np.random.default_rng(1), 0.0
    for first in range(0, conversions, PAGE_ROWS):
        frames = _page(dice, first, min(PAGE_ROWS, conversions - first))
        start = time.process_time()
        judge(*frames, Coverage(complete_until_ms=NOW_MS - DAY_MS, complete_from_ms=NOW_MS - 40 * DAY_MS))
        seconds += time.process_time() - start
    return {"events": conversions, "visits": conversions * VISITS_OF_A_USER, "seconds": seconds}


def _page(dice: np.random.Generator, first: int, page: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    visits = page * VISITS_OF_A_USER
    keys = pd.Series([f"key-{first + place}" for place in range(page)], dtype=object)
    ids = pd.Series([f"user-{first + place}" for place in range(page)], dtype=object)
    started = NOW_MS - dice.integers(0, 30 * DAY_MS, visits)
    viewed = pd.arrays.IntegerArray(started + 1_000, dice.random(visits) < 1 / 3)
    return (
        pd.DataFrame(
            {"id": range(page), "identity_key": keys, "action_timestamp_ms": NOW_MS - dice.integers(0, 2 * DAY_MS, page)}
        ),
        pd.DataFrame({"identity_key": keys, "user_domain": pd.Series(["shop"] * page, dtype=object), "user_id": ids}),
        pd.DataFrame(
            {
                "user_domain": pd.Series(["shop"] * visits, dtype=object),
                "user_id": ids.to_numpy()[dice.integers(0, page, visits)],
                "session_id": pd.Series([f"session-{place}" for place in range(visits)], dtype=object),
                "started_at": started,
                "last_active_at": started + dice.integers(0, 3_600_000, visits),
                "first_viewed_at": viewed,
            }
        ),
    )
