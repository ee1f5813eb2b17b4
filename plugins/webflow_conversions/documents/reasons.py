"""The page of states and reasons for people: ``python -m webflow_conversions.documents.reasons > docs/reasons.md``."""

import sys

from webflow_conversions.documents.markdown import table
from webflow_conversions.rules import credit
from webflow_conversions.rules.states import EXPLANATIONS, REFUSED_PREFIX, STANDINGS, State, explain

_HEAD = """# States and reasons

<!-- Written by `python -m webflow_conversions.documents.reasons > docs/reasons.md`; change rules/states.py, credit.py. -->

Every conversion of the ledger (`webflow.conversions`) is in exactly one `state`. Where the state alone does not say why,
`reason` does, in one code; `detail` has what the source gave where that is wrong.

## States
"""

_CREDIT = """
## Will it count?

Where [visits](visits.md) are configured, `attribution` says whether Webflow will credit a conversion to a variation that its
visitor saw, and `attribution_reason` why not, or why it is not sure. A conversion keeps its state whatever the verdict, unless
the configuration says otherwise. Without visits both are null.
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
    verdicts = ((f"`{attribution}`", meaning) for attribution, meaning in credit.ATTRIBUTIONS.items())
    parts += [_CREDIT, *table(("attribution", "meaning"), verdicts), ""]
    parts += table(
        ("attribution and attribution_reason", "meaning", "what to do"),
        ((f"`{found.attribution}` `{reason}`", found.meaning, found.remedy) for reason, found in credit.EXPLANATIONS.items()),
    )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
