"""Fixtures: a server of its own for each test, with an outbox and a client."""

from collections.abc import Iterator
from pathlib import Path

import podium
import pytest
from podium._outbox import outbox_folder
from podium_server.testing import RunningServer, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """Yields a server that a test may kill, and start again over the same store."""
    with running_server(f"sqlite:///{tmp_path / 'podium.db'}") as server:
        yield server


@pytest.fixture
def outbox(tmp_path: Path, server: RunningServer) -> Path:
    """Returns an outbox for the server."""
    return outbox_folder(tmp_path / "outbox", server.address)


@pytest.fixture
def client(server: RunningServer) -> Iterator[podium.Client]:
    """Yields a client of the server."""
    with podium.Client(server.address) as client:
        yield client
