"""Fixtures: a server, and a client that imports results into it."""

from collections.abc import Iterator

import podium
import pytest
from podium_server.testing import RunningServer, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """Yields the server that all tests of this folder share."""
    with running_server() as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[podium.Client]:
    """Yields a client of the server, and deletes all experiments after the test."""
    with podium.Client(server.address) as client:
        yield client
        for experiment in client.experiments():
            client.experiment(experiment.name).delete()
