"""The ceiling of requests a second, as the server sees it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from demo.simulator import SimulatorProcess
from tests.night import Night
from webflow_conversions.delivery.push import Push


@pytest.mark.parametrize("workers", [1, 3])
def test_no_second_sees_more_requests_than_the_ceiling_however_many_workers_push(
    night: Night, simulator: SimulatorProcess, workers: int
) -> None:
    run = night.ready(20)
    pushes = [
        night.prepare_push(run, simulator.url, worker=worker, settings={"requests_per_second": 5.0}) for worker in range(workers)
    ]
    with ThreadPoolExecutor(workers) as pool:
        assert sum(counts.accepted for counts in pool.map(Push.run, pushes)) == 20
    seen = [second["requests"] for second in simulator.summary()["requests_per_second"]]
    assert sum(seen) == 20
    assert max(seen) <= 5
