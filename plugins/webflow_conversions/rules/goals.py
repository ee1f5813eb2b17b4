"""Custom goals, and the periods in which each had its event name.

Webflow attributes a conversion only if the goal had that event name when the conversion happened
and still has that name at the import (docs/webflow-api.md, When a received conversion is attributed, 2).
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from webflow_conversions.rules.source import Goal
from webflow_conversions.rules.states import Reason
from webflow_conversions.rules.window import to_milliseconds


def check_goals(
    event_names: pd.Series, milliseconds: NDArray[np.int64], goals: Sequence[Goal], now: datetime
) -> NDArray[np.object_]:
    """The reason for which no goal matches the conversion, or None, for each row.

    :param milliseconds: the timestamp of each conversion.
    :param now: the moment of sending; a goal that no longer has the name at this moment does not count.
    """
    reasons: NDArray[np.object_] = np.full(len(event_names), Reason.UNKNOWN_GOAL, dtype=object)
    now_ms = to_milliseconds(now)
    for name in {goal.event_name for goal in goals}:
        rows = (event_names == name).to_numpy(dtype=bool, na_value=False)
        intervals = [
            (
                to_milliseconds(goal.valid_from) if goal.valid_from else -(2**62),
                to_milliseconds(goal.valid_to) if goal.valid_to else 2**62,
            )
            for goal in goals
            if goal.event_name == name
        ]
        moments = milliseconds[rows]
        of_name: NDArray[np.object_] = np.full(len(moments), Reason.GOAL_RENAMED, dtype=object)
        of_name[moments < min(start for start, _ in intervals)] = Reason.GOAL_NOT_YET_CREATED
        for start, end in intervals:
            if end > now_ms:
                of_name[(moments >= start) & (moments < end)] = None
        reasons[rows] = of_name
    return reasons
