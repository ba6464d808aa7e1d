"""Fixtures of the tests of writes: shared servers, stores, and the name of a new experiment."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import grpc
import pytest
from podium._limits.limits import Limits
from podium_server.testing import running_server

from tests.server.store.places import Place, new_place, opened
from tests.server.writes.ways import Direct, Way, Wire

_NUMBERS = count(1)

MakeWire = Callable[[dict[str, int]], Wire]


@pytest.fixture(scope="session")
def wire() -> Iterator[MakeWire]:
    """Yields a function that returns a way to call a server with the given limits.

    All tests share one server for each set of limits.
    """
    ways: dict[tuple[tuple[str, int], ...], Wire] = {}
    with ExitStack() as stack:

        def make(limits: dict[str, int]) -> Wire:
            key = tuple(sorted(limits.items()))
            if key not in ways:
                arguments = [word for name, n in key for word in ("--limit", f"{name}={n}")]
                server = stack.enter_context(running_server(None, *arguments))
                channel = stack.enter_context(grpc.insecure_channel(server.address))
                ways[key] = Wire(channel)
            return ways[key]

        yield make


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Returns an empty place for a store."""
    return new_place(tmp_path)


@pytest.fixture
async def direct(place: Place) -> AsyncIterator[Way]:
    """Yields a way to call the handlers of the services over a store, without a server."""
    async with opened(place) as store:
        yield Direct(store, Limits())


@pytest.fixture
def experiment() -> str:
    """Returns the name of an experiment that no other test uses."""
    return f"writes/{next(_NUMBERS)}"
