"""The fixture of the scenarios."""

from collections.abc import Iterator
from pathlib import Path

import podium
import pytest
from podium_server.testing import running_server

from tests.crash.scenarios.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yields a running server without results, and an empty folder for outboxes."""
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    with running_server(store) as server, podium.Client(server.address) as client:
        world = World(server, client, tmp_path / "outbox")
        yield world
        world.end()
