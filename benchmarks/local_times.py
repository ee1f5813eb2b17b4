"""Local times of a zone a row, as PostgreSQL writes them, to UTC milliseconds, in chunks as an extraction converts them.

The seconds are those of its core: it waits for nothing.
"""

import time
import zoneinfo
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from webflow_conversions.rules.source import TimestampKind
from webflow_conversions.rules.timestamps import to_utc_milliseconds
from webflow_conversions.warehouse.reader import CHUNK_ROWS

_FIRST = datetime(2026, 10, 24)  # noqa: DTZ001 - a local time; clocks change on one of the days


def converting(rows: int, zone_count: int) -> dict[str, Any]:
    """Convert the local times of four days, in so many zones in random order."""
    dice, seconds = np.random.default_rng(1), 0.0
    names = np.array(sorted(name for name in zoneinfo.available_timezones() if "/" in name), dtype=object)
    names = names[:: len(names) // zone_count][:zone_count]
    for first in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - first)
        times = [str(_FIRST + timedelta(milliseconds=ms)) for ms in dice.integers(1, 4 * 86_400_000, count).tolist()]
        values, zones = pd.Series(times, dtype=object), pd.Series(names[dice.integers(0, len(names), count)], dtype=object)
        start = time.process_time()
        _, reasons = to_utc_milliseconds(values, kind=TimestampKind.LOCAL, zones=zones)
        seconds += time.process_time() - start
        if any(reason is not None for reason in reasons):
            raise RuntimeError(f"a local time was not converted: {set(reasons)}")
    return {"events": rows, "seconds": seconds}
