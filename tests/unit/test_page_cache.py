"""Overviews are shared by those who look and those who wait; the page's own threads bound what it costs."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest

from webflow_conversions.errors import Unavailable
from webflow_conversions.ui import cache, threads
from webflow_conversions.ui.cache import SHARE, OverviewCache
from webflow_conversions.ui.threads import Busy, Threads

PATIENCE_SECONDS = 60


class Maker:
    """Makes overviews in 10 seconds of a clock of its own, or fails in that time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time, self.made = 1_000.0, 0
        self.trouble: Exception | None = None
        self.cache = OverviewCache(self, Threads())
        monkeypatch.setattr(cache, "monotonic", lambda: self.time)

    def __call__(self, run: int | None) -> Any:
        self.time += 10
        self.made += 1
        if self.trouble:
            raise self.trouble
        return f"overview {self.made}"

    def get(self, run: int | None = None) -> Any:
        return asyncio.run(self.cache.get(run))


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    return Maker(monkeypatch)


def test_an_overview_is_shared_for_some_times_what_it_took(maker: Maker):
    first = maker.get()
    maker.time += 10 * SHARE - 1
    assert maker.get() == first
    maker.time += 1
    assert maker.get() != first


def test_a_failure_is_shared_likewise(maker: Maker):
    maker.trouble = Unavailable("The ledger's database does not answer.")

    for _ in range(5):
        with pytest.raises(Unavailable, match="does not answer"):
            maker.get()
    assert maker.made == 1
    maker.trouble = None
    maker.time += 10 * SHARE
    assert maker.get() == "overview 2"


def test_after_an_act_a_failure_is_forgotten_too(maker: Maker):
    maker.trouble = Unavailable("away")
    with pytest.raises(Unavailable):
        maker.get()
    maker.trouble = None

    maker.cache.clear()

    assert maker.get() == "overview 2"


def test_an_overview_that_was_begun_before_an_act_is_not_shown_after_it():
    begun, goes_on = Event(), Event()
    made: list[int] = []

    def make(run: int | None) -> Any:
        number = len(made) + 1
        made.append(number)
        if number == 1:
            begun.set()
            assert goes_on.wait(PATIENCE_SECONDS)
        return f"overview {number}"

    async def look() -> tuple[Any, Any]:
        overviews = OverviewCache(make, Threads())
        before = asyncio.ensure_future(overviews.get(None))
        assert await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        overviews.clear()
        after = await overviews.get(None)
        goes_on.set()
        return await before, after

    assert asyncio.run(look()) == ("overview 1", "overview 2")


def test_only_the_last_runs_that_were_looked_at_are_kept(maker: Maker):
    for run in range(cache.MOST_OVERVIEWS + 5):
        maker.get(run)

    made = maker.made
    maker.time = 1_000.0
    maker.get(cache.MOST_OVERVIEWS + 4)
    assert maker.made == made
    maker.get(0)
    assert maker.made == made + 1


@contextmanager
def busy(own: Threads, works: int) -> Iterator[Event]:
    """All threads are at work until the event is set."""
    goes_on = Event()
    futures = [own.submit(lambda: goes_on.wait(PATIENCE_SECONDS)) for _ in range(works)]
    try:
        yield goes_on
    finally:
        goes_on.set()
        wait(futures, PATIENCE_SECONDS)


def test_a_hundred_who_wait_for_one_overview_take_one_thread():
    own = Threads(threads=2, waiting=0)
    goes_on = Event()

    def make(run: int | None) -> Any:
        assert goes_on.wait(PATIENCE_SECONDS)
        return "overview"

    async def look() -> tuple[Any, list[Any]]:
        overviews = OverviewCache(make, own)
        waiting = [asyncio.ensure_future(overviews.get(None)) for _ in range(100)]
        await asyncio.sleep(0)
        other = await own.run(lambda: "other")
        goes_on.set()
        return other, await asyncio.gather(*waiting)

    assert asyncio.run(look()) == ("other", ["overview"] * 100)


def test_what_finds_no_place_is_told_so_at_once():
    own = Threads(threads=1, waiting=1)

    with busy(own, 2), pytest.raises(Busy, match="Too many people"):
        asyncio.run(own.run(lambda: "never"))
    assert asyncio.run(own.run(lambda: "at once")) == "at once"


def test_what_waits_too_long_for_a_thread_is_not_done_later(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.05)
    own = Threads(threads=1, waiting=1)
    done: list[str] = []

    with busy(own, 1), pytest.raises(Busy):
        asyncio.run(own.run(lambda: done.append("late")))

    assert asyncio.run(own.run(lambda: "then")) == "then"
    assert done == []


def test_what_hangs_is_waited_for_no_longer_and_keeps_its_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(threads, "LONGEST_SECONDS", 0.05)
    own = Threads(threads=1, waiting=0)
    goes_on = Event()

    with pytest.raises(Unavailable, match="takes too long"):
        asyncio.run(own.run(lambda: goes_on.wait(PATIENCE_SECONDS)))
    with pytest.raises(Busy):
        asyncio.run(own.run(lambda: "no thread"))
    goes_on.set()


def test_whoever_goes_away_gives_the_place_back():
    own = Threads(threads=1, waiting=1)

    async def go_away() -> None:
        waiting = asyncio.ensure_future(own.run(lambda: "never"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        own.submit(lambda: "the place is free").cancel()

    with busy(own, 1):
        asyncio.run(go_away())
