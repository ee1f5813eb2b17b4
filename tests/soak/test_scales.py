"""The soak's own judgement: what grows is told, and what keeps more rows in as many bytes each is not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.soak.weighing import Kept, Process, Weight, growing

STEADY = Weight(
    night="1",
    rows=20_000,
    processes={"tasks": Process(rss=200_000_000, blocks=900_000, files=8, threads=2)},
    kept={"conversions": Kept(size=300_000_000, rows=600_000), "runs": Kept(size=100_000, rows=30)},
    wal=40_000_000,
    wal_records=400_000,
    pages=1_000_000,
    core_seconds=5.0,
)


def nights(change: Callable[[int], Weight]) -> list[Weight]:
    return [change(night) for night in range(29)]


def of_process(**grown: float) -> Callable[[int], Weight]:
    """A process of which something grows by this share a night."""

    def change(night: int) -> Weight:
        tasks = STEADY.processes["tasks"]
        more = {name: int(getattr(tasks, name) * (1 + share) ** night) for name, share in grown.items()}
        return replace(STEADY, processes={"tasks": replace(tasks, **more)})

    return change


def test_what_stays_is_not_told() -> None:
    assert (
        growing(
            nights(lambda night: replace(STEADY, wal=(40 + night) * 1_000_000, pages=1_000_000 + night % 3 * 500_000)), costs=True
        )
        == {}
    )


@pytest.mark.parametrize("what", ["rss", "blocks"])
def test_a_process_that_grows_by_a_percent_a_night_is_told(what: str) -> None:
    assert set(growing(nights(of_process(**{what: 0.01})), costs=True)) == {f"{what} of the tasks"}


@pytest.mark.parametrize("what", ["files", "threads"])
def test_one_file_or_thread_more_every_four_nights_is_told(what: str) -> None:
    tasks = STEADY.processes["tasks"]
    grown = nights(
        lambda night: replace(STEADY, processes={"tasks": replace(tasks, **{what: getattr(tasks, what) + night // 4})})
    )
    assert set(growing(grown, costs=True)) == {f"{what} of the tasks"}


def test_a_table_that_keeps_its_rows_and_grows_is_told_and_one_that_keeps_more_rows_is_not() -> None:
    def of_table(night: int, rows: int) -> Weight:
        return replace(STEADY, kept={"conversions": Kept(size=300_000_000 + night * 6_000_000, rows=rows)})

    assert set(growing(nights(lambda night: of_table(night, 600_000)), costs=True)) == {"size of conversions"}
    assert growing(nights(lambda night: of_table(night, 600_000 + night * 12_000)), costs=True) == {}


def test_a_table_that_has_one_of_two_sizes_is_told_of_neither() -> None:
    sizes = [17, 17, 14, 14, 14, 14, 17, 17, 17, 14, 17, 17, 17, 17, 17]  # MB of webflow.extracted, nights 16 to 30 of a month

    def change(night: int) -> Weight:
        size = sizes[max(night - 14, 0)] * 1_000_000
        return replace(STEADY, kept={"extracted": Kept(size=size, rows=180_000 if size % 17 else 135_000)})

    assert growing(nights(change), costs=True) == {}


def test_a_row_that_costs_more_each_night_is_told_unless_costs_are_left_out() -> None:
    grown = nights(lambda night: replace(STEADY, wal_records=400_000 + night * 20_000, pages=1_000_000 + night * 50_000))
    assert set(growing(grown, costs=True)) == {"wal_records a row", "pages a row"}
    assert growing(grown, costs=False) == {}
