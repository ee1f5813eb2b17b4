"""Every metric has its name in the table of the documents, and says what the account says."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from webflow_conversions.pipeline.metrics import NAMES, PREFIX, push_metrics, run_metrics
from webflow_conversions.pipeline.reconciliation import SourceAccount
from webflow_conversions.pipeline.verdict import unread
from webflow_conversions.rules.amounts import Amount, Tally
from webflow_conversions.rules.states import EXPLANATIONS, State

NOW = datetime(2026, 3, 14, 23, 0, tzinfo=UTC)


def amount(rows, value=0):
    return Amount(rows=rows, value=Decimal(value))


def test_a_run_tells_what_its_account_says():
    account = SourceAccount(
        tally=Tally(read=amount(9), recorded=amount(9)),
        states={("accepted", None): amount(3), ("rejected", "unknown_goal"): amount(2), ("held", "unknown_user"): amount(4)},
        sent=amount(3, "149.99"),
        sent_again=1,
        ready={None: amount(5), "HTTP 503": amount(6)},
        in_doubt=amount(7),
    )
    told = {
        (metric.name.removeprefix(f"{PREFIX}."), metric.tags.get("reason")): metric
        for metric in run_metrics({"shop": account}, unread(["shop"]), NOW)
    }

    rejected = {reason: metric.value for (name, reason), metric in told.items() if name == "rejected"}
    assert {reason: value for reason, value in rejected.items() if value} == {"unknown_goal": 2}
    assert set(rejected) == {str(reason) for reason, known in EXPLANATIONS.items() if known.state is State.REJECTED}
    assert {name: metric.value for (name, _), metric in told.items() if name != "rejected"} == {
        "level": 3,
        "read": 9,
        "accepted": 3,
        "accepted_value": 149.99,
        "held": 4,
        "ready": 11,
        "would_send": 0,
        "in_doubt": 7,
        "sent_again": 1,
        "seconds_to_import": 3600,
    }
    assert told["rejected", "unknown_goal"].tags == {"source": "shop", "reason": "unknown_goal"}


def test_a_push_tells_its_speed():
    (metric,) = push_metrics("webflow_default", 1, 500, 2.0)

    assert (metric.name, metric.value, metric.tags) == (
        "webflow_conversions.events_per_second",
        250,
        {"destination": "webflow_default", "worker": "1"},
    )


def test_the_document_lists_every_metric_with_its_sentence():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(f"| `{PREFIX}.")]

    assert [tuple(cell.strip() for cell in row.split("|")[1:4:2]) for row in rows] == [
        (f"`{PREFIX}.{name}`", NAMES[name]) for name in NAMES
    ]
