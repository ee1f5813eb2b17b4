"""The page of verdicts for people: ``python -m webflow_conversions.documents.verdicts > docs/verdicts.md``."""

import sys

from webflow_conversions.documents.markdown import table
from webflow_conversions.pipeline.causes import CAUSES, Level

_HEAD = """# Verdicts

<!-- Written by `python -m webflow_conversions.documents.verdicts > docs/verdicts.md`; change pipeline/causes.py. -->

Each run ends with a verdict, for each source and for the run: `webflow.runs.verdict`, and in it `level` and `findings`. The page,
the notices, the metrics and the JSON API read the same one. A run is green in Airflow if its level is `good` or `note`.

## Levels
"""

_LEVELS = {
    Level.GOOD: "All that was due is accepted.",
    Level.NOTE: "All that was due is accepted, or was rehearsed, and there is something to know.",
    Level.ATTENTION: "All that could be sent was sent, and yet something is wrong that only a person can mend. The run is red.",
    Level.FAILED: "Something that was due was not sent, is in doubt, or cannot be accounted for. The run is red.",
}


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD, *table(("level", "in words", "meaning"), ((f"`{level}`", level.meaning, _LEVELS[level]) for level in Level))]
    parts += ["\n## Findings\n"]
    parts += table(
        ("cause", "level", "found when", "what to do"),
        (
            (f"`{cause}`", f"`{kind.level}`" + (f", `{kind.also}`" if kind.also else ""), kind.condition, kind.remedy)
            for cause, kind in CAUSES.items()
        ),
    )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
