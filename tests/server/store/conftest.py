"""Every kind of store, in a place of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from podium_server.store.contract import Store

from tests.server.store.places import PLACES, Place, opened


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    return PLACES[request.param](tmp_path)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """An open store over it."""
    async with opened(place) as store:
        yield store
