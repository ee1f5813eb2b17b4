"""The page of states and reasons for people: ``python -m webflow_conversions.reasons > docs/reasons.md``."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from webflow_conversions.rules.states import EXPLANATIONS, REFUSED_PREFIX, STANDINGS, State, explain

_HEAD = """# States and reasons

<!-- Written by `python -m webflow_conversions.reasons > docs/reasons.md`; change plugins/webflow_conversions/rules/states.py. -->

Every conversion of the ledger (`webflow.conversions`) is in exactly one `state`. Where the state alone does not say why,
`reason` does, in one code; `detail` has what the source gave where that is wrong.

## States
"""


def page() -> str:
    """The whole page, in Markdown."""
    explained = {
        **{str(reason): of_reason for reason, of_reason in EXPLANATIONS.items()},
        f"{REFUSED_PREFIX}…": explain(f"{REFUSED_PREFIX}…"),
    }
    parts = [_HEAD]
    parts += table(
        ("state", "meaning", "leaves it"),
        ((f"`{state}`", standing.meaning, standing.leaves) for state, standing in STANDINGS.items()),
    )
    for state in State:
        reasons = [
            (f"`{code}`", found.kind, found.meaning, found.remedy) for code, found in explained.items() if found.state is state
        ]
        if reasons:
            parts += [f"\n## Reasons for `{state}`\n", *table(("reason", "about", "meaning", "what to do"), reasons)]
    return "\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
