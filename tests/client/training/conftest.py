"""Fixtures of these tests: a server, and an experiment to record into."""

from collections.abc import Iterator
from itertools import count

import podium
import pytest
from podium_server.testing import RunningServer, running_server

_NUMBERS = count()


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """Yields a server, which all tests of this folder share."""
    with running_server() as server:
        yield server


@pytest.fixture
def experiment(server: RunningServer) -> Iterator[podium.ExperimentHandle]:
    """Yields the handle of a new experiment. Each call is stored on the server when it returns."""
    with podium.Client(server.address) as client:
        experiment = client.experiment(f"training_{next(_NUMBERS)}")
        experiment.declare()
        yield experiment
