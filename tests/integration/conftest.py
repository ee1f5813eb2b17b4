"""A night for each test, and a simulator for each module."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, TOKEN, Night


@pytest.fixture
def night(database: Callable[[], Any]) -> Iterator[Night]:
    """An empty warehouse and a migrated ledger."""
    made = Night(database)
    yield made
    made.session.close()


@pytest.fixture(scope="module")
def running_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator that is shared by the tests of a module."""
    with SimulatorProcess(tmp_path_factory.mktemp("simulator") / "events.db", token=TOKEN, customer_id=CUSTOMER_ID) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: SimulatorProcess) -> SimulatorProcess:
    """The simulator without events and faults, its clock at the night's moment."""
    running_simulator.begin_anew()
    running_simulator.faults([])
    return running_simulator
