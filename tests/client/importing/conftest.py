"""A server to import into."""

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
    """Yields a client of an empty server."""
    with podium.Client(server.address) as client:
        yield client
        for experiment in client.experiments():
            client.experiment(experiment.name).delete()
