"""Overviews are shared by those who look; a ledger that does not answer holds nobody up for long."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from webflow_conversions.errors import Unavailable
from webflow_conversions.ui import cache
from webflow_conversions.ui.cache import SHARE, OverviewCache

PATIENCE_SECONDS = 60


class Maker:
    """Makes overviews in 10 seconds of a clock of its own, or fails in that time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time, self.made = 1_000.0, 0
        self.trouble: Exception | None = None
        monkeypatch.setattr(cache, "monotonic", lambda: self.time)

    def __call__(self, run: int | None) -> Any:
        self.time += 10
        self.made += 1
        if self.trouble:
            raise self.trouble
        return f"overview {self.made}"


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    return Maker(monkeypatch)


def test_an_overview_is_shared_for_some_times_what_it_took(maker: Maker):
    recent = OverviewCache(maker)

    first = recent.get(None)
    maker.time += 10 * SHARE - 1
    assert recent.get(None) == first
    maker.time += 1
    assert recent.get(None) != first


def test_a_failure_is_shared_likewise(maker: Maker):
    recent = OverviewCache(maker)
    maker.trouble = Unavailable("The ledger's database does not answer.")

    for _ in range(5):
        with pytest.raises(Unavailable, match="does not answer"):
            recent.get(None)
    assert maker.made == 1
    maker.trouble = None
    maker.time += 10 * SHARE
    assert recent.get(None) == "overview 2"


def test_after_an_act_a_failure_is_forgotten_too(maker: Maker):
    recent = OverviewCache(maker)
    maker.trouble = Unavailable("away")
    with pytest.raises(Unavailable):
        recent.get(None)
    maker.trouble = None

    recent.clear()

    assert recent.get(None) == "overview 2"


def test_nobody_waits_for_long_behind_a_ledger_that_hangs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "WAIT_SECONDS", 0.05)
    hangs, goes_on = Event(), Event()

    def make(run: int | None) -> Any:
        hangs.set()
        assert goes_on.wait(PATIENCE_SECONDS)
        return "overview"

    recent = OverviewCache(make)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(recent.get, None)
        assert hangs.wait(PATIENCE_SECONDS)
        others = [pool.submit(recent.get, None) for _ in range(4)]
        try:
            for other in others:
                with pytest.raises(Unavailable, match="takes long to answer"):
                    other.result(timeout=PATIENCE_SECONDS)
        finally:
            goes_on.set()
        assert first.result(timeout=PATIENCE_SECONDS) == "overview"
