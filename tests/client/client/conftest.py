"""Fixtures: a server for the whole folder, clients for each test, and experiments."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import podium
import pytest
from podium_server.testing import RunningServer, running_server

from tests.client.client.both import AnyClient, entered

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """Yields a server that all tests share. Each test uses its own experiments."""
    with running_server() as server:
        yield server


@pytest.fixture(params=["blocking", "asyncio"])
async def client(request: pytest.FixtureRequest, server: RunningServer) -> AsyncIterator[AnyClient]:
    """Yields a blocking and an asynchronous client: each test runs once with each."""
    kind = podium.Client if request.param == "blocking" else podium.AsyncClient
    async with entered(kind(server.address)) as client:
        yield client


@pytest.fixture
def blocking(server: RunningServer) -> Iterator[podium.Client]:
    """Yields a blocking client."""
    with podium.Client(server.address) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Returns the name of an experiment that no other test uses."""
    return f"tests/sweep_{next(_NUMBERS)}"


@pytest.fixture
def declared(blocking: podium.Client, name: str) -> str:
    """Declares an experiment and returns its name."""
    blocking.experiment(name).declare(success_metric="test.pass_rate")
    return name
