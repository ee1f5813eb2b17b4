"""Measures the verdict: 1,000,000 conversions against 10,000,000 visits, in pages, as a run judges them.

python -m benchmarks.attribution      prints one line of JSON: seconds in the verdict, and the memory over the imports
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.rules.attribution import Coverage, judge

DAY_MS = 86_400_000
NOW_MS = 1_795_467_600_000
VISITS_OF_A_USER = 10


def judging(conversions: int = 1_000_000, page: int = 10_000) -> dict[str, Any]:
    """Judge conversions of 2 days, a user each, against visits of 30 days in random order; a third of them shows no variation."""
    dice = np.random.default_rng(1)
    seconds, before = 0.0, _memory_mb()
    for number in range(conversions // page):
        frames = _page(dice, number, page)
        start = time.perf_counter()
        judge(*frames, Coverage(complete_until_ms=NOW_MS - DAY_MS, complete_from_ms=NOW_MS - 40 * DAY_MS))
        seconds += time.perf_counter() - start
    return {
        "piece": "attribution",
        "conversions": conversions,
        "visits": conversions * VISITS_OF_A_USER,
        "seconds": round(seconds, 1),
        "memory_mb": round(_memory_mb() - before),
    }


def _page(dice: np.random.Generator, number: int, page: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    visits = page * VISITS_OF_A_USER
    keys = pd.Series([f"key-{number}-{place}" for place in range(page)], dtype=object)
    ids = pd.Series([f"user-{number}-{place}" for place in range(page)], dtype=object)
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


def _memory_mb() -> float:
    """The greatest memory of this process so far, in megabytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    print(json.dumps(judging()))
